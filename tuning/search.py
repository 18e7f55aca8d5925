"""The search for learning rates and epochs, on validation problems and the tuning seed.

    python tuning/search.py --task carry [--cores 2] [--results results/tuning]

Every point of the grids below is a method of its own (`variant_of` the method that is tuned), so
the search is one run of the workflow and shares its base model and Stage I models. It writes
docs/tuning/<task>.md; the best point of each family is what config/config.yaml holds. SFT's grid
is not smaller than RL's: each SFT method has more points of its own than all of RL together, up to
about as many updates as RL has (6 epochs in each of STaR's three rounds, 18 in Pair-SFT's one).
"""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

from selfcorrect.files import replacing
from selfcorrect.tracefile import read_table

ROOT = Path(__file__).resolve().parents[1]
SEED = 0  # no reported result uses it
RL_LEARNING_RATES = (1.0e-4, 2.0e-4, 3.0e-4)  # of all RL methods; chosen by SCoRe's t2
# Learning rate, epochs.
SFT_POINTS = ((1.0e-4, 6), (3.0e-4, 1), (3.0e-4, 3), (3.0e-4, 6), (1.0e-3, 1), (1.0e-3, 3))
SFT_METHODS = {
    "star_d": SFT_POINTS,
    "star_d_plus": SFT_POINTS,
    "pair_sft_d": (*SFT_POINTS, (3.0e-4, 18)),
    "pair_sft_d_plus": (*SFT_POINTS, (3.0e-4, 18)),
}

HEADER = f"""# Tuning: TASK

Greedy accuracy on the validation problems of `TASK`, run seed {SEED}, which no reported result
uses. Written by `python tuning/search.py --task TASK`. In each family the point with the highest
t2 is bold.

RL methods share one learning rate, as in the paper: the one that is best for SCoRe. That is not
the best for every other method, which the rows below show: read them before quoting a margin.
"""


def points() -> dict[str, dict]:
    """All methods of the search, by name."""
    methods: dict[str, dict] = {}
    for number, rate in enumerate(RL_LEARNING_RATES):
        tuned = {"learning_rate": rate}
        label = f"lr {rate:g}"
        methods[f"tune_stage1_{number}"] = {"variant_of": "stage1", "label": label, "rl": tuned}
        methods[f"tune_multi_turn_rl_sum_{number}"] = {
            "variant_of": "multi_turn_rl_sum", "label": label, "rl": tuned
        }  # fmt: skip
        methods[f"tune_score_{number}"] = {
            "variant_of": "score", "start": f"tune_stage1_{number}", "label": label, "rl": tuned
        }  # fmt: skip
    for method, grid in SFT_METHODS.items():
        for number, (rate, epochs) in enumerate(grid):
            methods[f"tune_{method}_{number}"] = {
                "variant_of": method,
                "label": f"lr {rate:g}, {epochs} epoch{'s' if epochs > 1 else ''}",
                "sft": {"learning_rate": rate, "epochs": epochs},
            }
    return methods


def overlay(task: str, results: str) -> dict:
    """The config overlay of the search."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())["tasks"][task]
    evaluation = {"split": "validation", "problems": settings["data"]["validation"], "samples": 0,
                  "many_turns_for": [], "repairs": {"problems": 0}}  # fmt: skip
    methods = points()
    return {
        "results": results,
        "run": {"tasks": [task], "seeds": [SEED], "methods": list(methods)},
        "tasks": {task: {"evaluation": evaluation}},
        "methods": methods,
    }


def report(task: str, results: Path) -> str:
    """The record of the search as Markdown."""
    rows: dict[str, list[tuple[float, float, str]]] = {}
    for name, method in points().items():
        path = results / task / name / f"seed{SEED}" / "grades.parquet"
        grades = read_table(path, ["turn", "verdict"]).to_pandas()
        right = grades["verdict"].eq("right").groupby(grades["turn"]).mean() * 100
        rows.setdefault(method["variant_of"], []).append((right[1], right[2], method["label"]))
    lines = [HEADER.replace("TASK", task)]
    for method, found in rows.items():
        best = max(found, key=lambda row: row[1])
        lines += [f"## `{method}`", "", "| point | t1 | t2 | Δ |", "|---|---|---|---|"]
        for row in found:
            mark = "**" if row is best else ""
            lines.append(
                f"| {mark}{row[2]}{mark} | {row[0]:.1f} | {row[1]:.1f} | {row[1] - row[0]:+.1f} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run the workflow over the grids and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="carry", help="testbed whose settings are searched")
    parser.add_argument("--cores", default="all", help="cores to use")
    parser.add_argument(
        "--results", default="results/tuning", help="folder for the search's results"
    )
    arguments = parser.parse_args()
    task = arguments.task
    config = ROOT / arguments.results / f"{task}.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(overlay(task, arguments.results), sort_keys=False))
    targets = [f"{arguments.results}/{task}/{name}/seed{SEED}/grades.parquet" for name in points()]
    command = [sys.executable, "-m", "snakemake", "--cores", arguments.cores,
               "--configfile", str(config), "--", *targets]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)
    with replacing(ROOT / "docs/tuning" / f"{task}.md") as temporary:
        temporary.write_text(report(task, ROOT / arguments.results))


if __name__ == "__main__":
    main()
