"""Correction over the course of fine-tuning (Fig. 5): on the model's own first attempts and on
those of the base."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from matplotlib.lines import Line2D

from selfcorrect.analysis import statistics
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    band,
    fewer,
    in_steps,
    lacking,
    over,
    panels,
    say_missing,
    sentence,
    tidy,
    titled,
)
from selfcorrect.analysis.figures.style import OTHER, colour
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.summary import on_tasks
from selfcorrect.analysis.tracking import corrections

WHOSE: dict[str, tuple[Literal["--", "-"], str]] = {
    "fixed": ("--", "after the base's first attempts"),
    "own": ("-", "after its own"),
}


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """One figure, a panel a task and method."""
    report, shown = evidence.report, evidence.snapshots
    tasks = report.spec.tasks
    methods = list(
        dict.fromkeys(name for task in tasks for name in evidence.methods_with(shown, task))
    )
    figure, grid = panels(len(tasks), max(len(methods), 1), 2.4, 1.8, sharey=True)
    for row, task in zip(grid, tasks, strict=True):
        if not methods:
            say_missing(row[0], "no models kept during fine-tuning")
        for axes, method in zip(row, methods, strict=False):
            axes.set_title(titled(report, method, task), loc="left")
            if method not in evidence.methods_with(shown, task):
                say_missing(axes, "no models kept during fine-tuning")
                continue
            for whose, of_steps in estimated(evidence, task, method).items():
                band(axes, list(of_steps), list(of_steps.values()), color=colour(method),
                     linestyle=WHOSE[whose][0])  # fmt: skip
            in_steps(axes)
            tidy(axes)
    figure.supxlabel("Step of fine-tuning", fontsize=8)
    figure.supylabel("Correction rate (%)", fontsize=8)
    handles = [Line2D([], [], color=OTHER, linestyle=dashes, label=label)
               for dashes, label in WHOSE.values()]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=2, handlelength=2.2)
    problems = {of.task: rows["problem"].nunique() for of, rows in shown.items()}
    caption = (
        "Correction rate over the course of fine-tuning: of the problems whose first attempt is "
        "wrong, how many the second attempt gets right, at held-out problems; none is drawn where "
        "no attempt is wrong. Dashed: after the base model's first attempts, the kind that it "
        "learns to correct. Solid: after its own, as in use. Step 0 is the model that it starts "
        "from. Seeds have different numbers of traces to learn from, and so of steps: the models "
        "that were kept first are put together at their mean step, and so on. On "
        f"{on_tasks(problems)}, greedy decoding, {report.seeds_in_words()}; bands are 95 % "
        f"intervals {over(report)}."
    )
    missing = lacking(report, shown, report.spec.shown["snapshots"])
    kept = {place: len(corrections(of)["own"]) for place, of in shown.items()}
    missing += [f"{run}, of which {'only the start' if count == 1 else f'only {count} models'} "
                "was kept" for run, count in fewer(report, kept)]  # fmt: skip
    yield Drawing("fine_tuning", "Correction during fine-tuning", "Fig. 5", figure,
                  caption + sentence(missing))  # fmt: skip


def estimated(evidence: Evidence, task: str, method: str) -> dict[str, dict[float, Estimate]]:
    """By whose first attempts and by mean step, in percent; of the seeds with all models kept."""
    seeds = [corrections(one) for one in evidence.seeds(evidence.snapshots, task, method)]
    most = max((len(seed["own"]) for seed in seeds), default=0)
    seeds = [seed for seed in seeds if len(seed["own"]) == most]
    found: dict[str, dict[float, Estimate]] = {}
    for whose in WHOSE:
        kept = zip(*(seed[whose].items() for seed in seeds), strict=True)
        found[whose] = {
            float(np.mean([step for step, _ in at])): statistics.ratio(
                np.stack([of.corrected for _, of in at]), np.stack([of.wrong for _, of in at])
            ).percent()
            for at in kept
        }
    return found
