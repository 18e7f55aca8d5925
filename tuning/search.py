"""The search for learning rates, batches and epochs, on validation problems and the tuning seed.

    python tuning/search.py [--tasks carry precedence] [--cores 2] [--results results/tuning]

Every point of the grids below is a method of its own (`variant_of` the method that is tuned), so
the search is one run of the workflow and shares its base model and Stage I models. It writes
docs/tuning/<task>.md, where config/config.yaml's own point is marked. SFT's grid
is not smaller than RL's: each SFT method has more points of its own than all of RL together, up to
about as many updates as RL has (2 epochs of small batches in each of STaR's three rounds, 4 in
Pair-SFT's one).
"""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

from selfcorrect import config
from selfcorrect.files import replacing
from selfcorrect.plan import Plan
from selfcorrect.tracefile import read_table

ROOT = Path(__file__).resolve().parents[1]
SEED = 0  # no reported result uses it
RL_LEARNING_RATES = (1.0e-4, 2.0e-4, 3.0e-4)  # of all RL methods; chosen by SCoRe's t2
# Learning rate, traces in a batch, epochs.
STAR_POINTS = (
    (3.0e-4, 256, 3),
    (1.0e-4, 64, 2),
    (3.0e-4, 64, 1),
    (3.0e-4, 64, 2),
    (1.0e-3, 64, 1),
    (1.0e-3, 64, 2),
)
PAIR_POINTS = (
    (3.0e-4, 256, 3),
    (1.0e-4, 64, 4),
    (3.0e-4, 64, 2),
    (3.0e-4, 64, 4),
    (1.0e-3, 64, 2),
    (1.0e-3, 64, 4),
    (3.0e-4, 256, 1),
    (1.0e-4, 256, 3),
    (1.0e-4, 256, 6),
)
SFT_METHODS = {
    "star_d": STAR_POINTS,
    "star_d_plus": STAR_POINTS,
    "pair_sft_d": PAIR_POINTS,
    "pair_sft_d_plus": PAIR_POINTS,
}

HEADER = f"""# Tuning: TASK

Greedy accuracy on the validation problems of `TASK`, run seed {SEED}, which no reported result
uses. Written by `python tuning/search.py --tasks TASK`. In each family the point with the highest
t2 is bold, and that of `config/config.yaml` has an arrow.

RL methods share one learning rate, as in the paper: that which was best for SCoRe, on average over
this search and an earlier one (docs/log.md), since one seed tells rates apart badly. STaR's methods
share one point on both testbeds, and Pair-SFT's one on each. So what a method has is not always the
best of its rows: read them before quoting a margin.
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
        for number, (rate, batch, epochs) in enumerate(grid):
            methods[f"tune_{method}_{number}"] = {
                "variant_of": method,
                "label": f"lr {rate:g}, batches of {batch}, {epochs} epoch{'s' * (epochs > 1)}",
                "sft": {"learning_rate": rate, "batch_size": batch, "epochs": epochs},
            }
    return methods


def overlay(tasks: list[str], results: str) -> dict:
    """The config overlay of the search."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())["tasks"]
    methods = points()
    return {
        "results": results,
        "run": {"tasks": tasks, "seeds": [SEED], "methods": list(methods)},
        "tasks": {
            task: {
                "evaluation": {
                    "split": "validation",
                    "problems": settings[task]["data"]["validation"],
                    "samples": 0,
                    "many_turns_for": [],
                    "repairs": {"problems": 0},
                }
            }
            for task in tasks
        },
        "methods": methods,
    }


def report(task: str, results: Path) -> str:
    """The record of the search as Markdown."""
    chosen = Plan(config.load(config.default(ROOT))).nodes[task]
    rows: dict[str, list[tuple[float, float, str, str]]] = {}
    for name, method in points().items():
        path = results / task / name / f"seed{SEED}" / "grades.parquet"
        grades = read_table(path, ["turn", "verdict"]).to_pandas()
        right = grades["verdict"].eq("right").groupby(grades["turn"]).mean() * 100
        settings = chosen[method["variant_of"]].settings.model_dump()
        tuned = method.get("rl") or method["sft"]
        arrow = " ←" if tuned.items() <= settings.items() else ""
        rows.setdefault(method["variant_of"], []).append(
            (right[1], right[2], method["label"], arrow)
        )
    lines = [HEADER.replace("TASK", task)]
    for method, found in rows.items():
        best = max(found, key=lambda row: row[1])
        lines += [f"## `{method}`", "", "| point | t1 | t2 | Δ |", "|---|---|---|---|"]
        for row in found:
            t1, t2, label, arrow = row
            mark = "**" if row is best else ""
            lines.append(f"| {mark}{label}{mark}{arrow} | {t1:.1f} | {t2:.1f} | {t2 - t1:+.1f} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run the workflow over the grids and write the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tasks", nargs="+", default=["carry", "precedence"], help="testbeds to search settings of"
    )
    parser.add_argument("--cores", default="all", help="cores to use")
    parser.add_argument(
        "--results", default="results/tuning", help="folder for the search's results"
    )
    arguments = parser.parse_args()
    results = ROOT / arguments.results
    search = results / "search.yaml"
    results.mkdir(parents=True, exist_ok=True)
    search.write_text(yaml.safe_dump(overlay(arguments.tasks, arguments.results), sort_keys=False))
    targets = [
        f"{arguments.results}/{task}/{name}/seed{SEED}/grades.parquet"
        for task in arguments.tasks
        for name in points()
    ]
    command = [sys.executable, "-m", "snakemake", "--cores", arguments.cores,
               "--configfile", str(search), "--", *targets]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)
    for task in arguments.tasks:
        with replacing(ROOT / "docs/tuning" / f"{task}.md") as temporary:
            temporary.write_text(report(task, results))


if __name__ == "__main__":
    main()
