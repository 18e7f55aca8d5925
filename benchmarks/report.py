"""How long do tables, figures and the report of a whole study take, from finished evaluations?

    python benchmarks/report.py

Makes what the evaluations of the study (five seeds, both testbeds, all methods) would have left,
with attempts that are right or wrong at random, and runs the workflow's own steps on it, one after
another on one core. What the numbers say does not matter to speed, how many there are does.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import timing
import torch
import yaml

from selfcorrect import config
from selfcorrect.jobs import Decode
from selfcorrect.plan import Plan
from selfcorrect.records import Problem, Submission
from selfcorrect.reporting import ReportJob
from selfcorrect.spec import RL
from selfcorrect.tasks import make_task
from selfcorrect.tasks.task import KnowsErrors, Task

ROOT = Path(__file__).parents[1]
EVALUATED = ("grades", "voting", "familiar", "snapshots")
RIGHT = 0.6  # share of attempts
AGAIN = 0.7  # share of later attempts that repeat the one before


def attempts(
    task: Task, problems: Sequence[Problem], how: Decode, rng: np.random.Generator
) -> pd.DataFrame:
    """Graded attempts: each is its problem's right answer, or another problem's."""
    right = rng.random((len(problems), how.samples, how.turns)) < RIGHT
    for turn in range(1, how.turns):
        again = rng.random(right.shape[:2]) < AGAIN
        right[:, :, turn] = np.where(again, right[:, :, turn - 1], right[:, :, turn])
    which, sample, turn = (index.ravel() for index in np.indices(right.shape))
    asked = pd.DataFrame(problems).rename(columns={"id": "problem", "answer": "gold"})
    made = asked[["problem", "question", "level", "gold"]].iloc[which].reset_index(drop=True)
    text = np.where(right.ravel(), made["gold"], asked["gold"].to_numpy()[which - 1])
    errors = None
    if isinstance(task, KnowsErrors):
        rows = zip(which, text, strict=True)
        errors = task.errors([Submission(problems[k], text, False) for k, text in rows])
    return made.assign(
        decoding=how.decoding, sample=sample, turn=turn + 1, text=text, answer=text, tokens=8,
        truncated=False, verdict=np.where(right.ravel(), "right", "wrong"), reason=None,
        grader=task.grader, error=errors,
    )  # fmt: skip


def views(plan: Plan, name: str, node: str, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """What the workflow keeps of one evaluated model, by view."""
    rng = np.random.default_rng(seed)
    for view in ("", "voting_", "familiar_"):
        if plan.shows(name, node, view):
            job = plan.generate(name, node, seed, view)
            task = make_task(job.data)
            parts = []
            for how in job.passes:
                repair = how.decoding == "repair"
                of = [each for each, _ in task.repairs()] if repair else task.problems(job.split)
                parts.append(attempts(task, of[: how.problems], how, rng))
            yield view, pd.concat(parts)
    if plan.is_tracked(name, node):
        of = plan.config.tasks[name].evaluation.snapshots
        job = plan.track(name, node, seed)
        task = make_task(job.data)
        problems = task.problems(job.split)[: job.problems]
        how = Decode(decoding="greedy", problems=len(problems), turns=2, samples=1, temperature=0)
        parts = [
            attempts(task, problems, how, rng).assign(decoding=f"{whose}-{step}")
            for whose in ("own", "fixed")
            for step in range(of.count + 1)
        ]
        yield "snapshots_", pd.concat(parts)


def make(plan: Plan, results: Path) -> dict[str, list[Path]]:
    """Write a run's evaluations and training logs; their files by kind."""
    found: dict[str, list[Path]] = {kind: [] for kind in (*EVALUATED, "logs")}
    for name, nodes in plan.nodes.items():
        for node in nodes.values():
            for seed in plan.config.run.seeds:
                folder = results / name / node.name / f"seed{seed}"
                folder.mkdir(parents=True)
                if node.name == node.method:
                    for view, made in views(plan, name, node.name, seed):
                        path = folder / f"{view}grades.parquet"
                        made.to_parquet(path)
                        found[view.rstrip("_") or "grades"].append(path)
                if isinstance(node.settings, RL):
                    rng = np.random.default_rng(seed)
                    keys = ("reward_t1", "reward_t2", "changed")
                    path = folder / "training.jsonl"
                    path.write_text("".join(
                        json.dumps({"step": step} | {key: rng.random() for key in keys}) + "\n"
                        for step in range(1, node.settings.steps + 1)
                    ))  # fmt: skip
                    found["logs"].append(path)
    return found


def commands(results: Path, job: ReportJob, whole: str, found: dict[str, list[Path]]
             ) -> dict[str, list[object]]:  # fmt: skip
    """The workflow's steps, in the order in which one needs another."""
    spec, report = job.model_dump_json(), results / "report"
    files = {view: [f"--{view}", *paths] for view, paths in found.items()}
    return {
        "tabulate": ["--spec", spec, *files["grades"], "--output", report / "tables"],
        "plot": ["--spec", spec, *files["grades"], *files["logs"], *files["voting"],
                 *files["familiar"], *files["snapshots"], "--output", report / "figures"],
        "manifest": ["--spec", whole, "--results", results, "--tables", report / "tables",
                     "--figures", report / "figures", "--manifest", report / "manifest.json"],
        "present": ["--spec", spec, *files["grades"], *files["voting"], *files["snapshots"],
                    "--figures", report / "figures", "--manifest", report / "manifest.json",
                    "--page", report / "index.html", "--claims", report / "claims"],
    }  # fmt: skip


def main() -> None:
    """Print a table of the steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    study = ROOT / "config/experiments/study.yaml"
    parser.add_argument("--overlay", type=Path, default=study, help="what is run (YAML)")
    arguments = parser.parse_args()
    overlay = yaml.safe_load(arguments.overlay.read_text())
    plan = Plan(config.load(config.merged(config.default(ROOT), overlay)))
    if hasattr(os, "sched_setaffinity"):  # for the steps too
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)  # of this process, as the printed line says; the steps import no torch
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        found = make(plan, results)
        (results / "report").mkdir()
        steps = commands(results, plan.report(), plan.config.model_dump_json(), found)
        rows = []
        for step, given in steps.items():
            command = [sys.executable, "-m", f"selfcorrect.steps.{step}", *map(str, given)]
            rows.append((step, timing.seconds(lambda: subprocess.run(command, check=True))))  # noqa: B023
        evaluated = sum(len(found[view]) for view in EVALUATED)
    print(f"{timing.machine()}\n{evaluated} files of graded attempts, {len(found['logs'])} logs\n")
    rows.append(("all", sum(seconds for _, seconds in rows)))
    print(timing.table(["step", "s"], [(step, f"{seconds:.1f}") for step, seconds in rows]))


if __name__ == "__main__":
    main()
