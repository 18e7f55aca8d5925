"""Accuracy by level: which problems the attempts of each method are right on."""

from collections.abc import Iterator
from itertools import product
from textwrap import fill

import numpy as np
from matplotlib.lines import Line2D

from selfcorrect.analysis import statistics
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    lacking,
    over,
    say_missing,
    sentence,
    tidy,
    titled,
    whiskers,
    wrapped,
)
from selfcorrect.analysis.figures.style import OTHER, colour
from selfcorrect.analysis.metrics import Shares, accuracy_by_turn
from selfcorrect.analysis.statistics import Estimate

SHOWN = ("base", "star_d_plus", "pair_sft_d_plus", "single_turn_rl", "multi_turn_rl_sum", "score")
PER_ROW = 3  # panels


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """One figure, a panel a task and method."""
    report = evidence.report
    tasks = report.spec.tasks
    methods = [row for row in report.spec.methods if row.name in SHOWN] or report.spec.methods
    shown = list(product(tasks, methods))
    figure, cells = wrapped(len(shown), PER_ROW, 2.05, 1.6, sharey=True)
    for axes, (task, row) in zip(cells, shown, strict=True):
        levels = by_level(evidence, task, row.name)
        if not levels:
            say_missing(axes, "no grades")
        elif set(levels) == {""}:
            say_missing(axes, "problems without levels")
            levels = {}
        for turn, dashes in enumerate(("--", "-")):
            whiskers(axes, [at + 0.12 * (turn - 0.5) for at in range(len(levels))],
                     [of[turn] for of in levels.values()], hollow=turn == 0,
                     linestyle=dashes, color=colour(row.name))  # fmt: skip
        axes.set_xticks(range(len(levels)), list(levels))
        axes.set(xlim=(-0.5, max(len(levels), 1) - 0.5), ylim=(-3, 103))
        axes.set_title(fill(titled(report, row.name, task), 34), loc="left")
        tidy(axes)
    figure.supxlabel("Level", fontsize=8)
    figure.supylabel("Accuracy (%)", fontsize=8)
    handles = [
        Line2D([], [], color=OTHER, linestyle="--", marker="o", markersize=3,
               markerfacecolor="#ffffff", label="first attempt (t1)"),
        Line2D([], [], color=OTHER, marker="o", markersize=3, label="second attempt (t2)"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=2, handlelength=2.2)
    caption = (
        "Accuracy of some methods' first (dashed) and second (solid) attempt by the problems' "
        "level: digits of the numbers on carry, pairs of parentheses on precedence, the "
        f"benchmark's own levels elsewhere. On {report.on()}, greedy decoding, "
        f"{report.seeds_in_words()}; whiskers are 95 % intervals {over(report)}."
    )
    missing = lacking(report, evidence.grades, {task: [row.name for row in methods]
                                                for task in tasks})  # fmt: skip
    yield Drawing("levels", "Accuracy by level", "beyond the paper", figure,
                  caption + sentence(missing))  # fmt: skip


def by_level(evidence: Evidence, task: str, method: str) -> dict[str, tuple[Estimate, Estimate]]:
    """Accuracy of the first two attempts by level, in percent; levels in order."""
    seeds: list[Shares] = []
    levels = np.array([])
    for found in evidence.seeds(evidence.grades, task, method):
        of = found.outcomes["greedy"]
        seeds.append(accuracy_by_turn(of)[:, :2])
        level = found.attempts.drop_duplicates("problem").set_index("problem")["level"]
        levels = level.loc[list(of.problems)].to_numpy(str)
    if not seeds:
        return {}
    accuracy = np.stack(seeds)  # [S, n, 2]
    return {
        level: tuple(  # type: ignore[misc]
            statistics.share(accuracy[:, levels == level, turn]).percent() for turn in range(2)
        )
        for level in sorted(set(levels), key=lambda name: (len(name), name))
    }
