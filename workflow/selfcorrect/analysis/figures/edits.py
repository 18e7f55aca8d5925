"""How much second attempts change (Fig. 4): histograms of the edit-distance ratio."""

from collections.abc import Iterator
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from selfcorrect.analysis.edits import edit_ratios
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    lacking,
    say_missing,
    sentence,
    tidy,
    wrapped,
)
from selfcorrect.analysis.figures.style import OTHER, colour, tint

BINS = [step / 50 for step in range(51)]
PER_ROW = 4
BEYOND = 1e-2  # of a method's traces, at most, that are not shown


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """One figure a task, a panel a method."""
    report = evidence.report
    for task in report.spec.tasks:
        methods = [row for row in report.spec.methods if "main" in row.tables]
        figure, panels = wrapped(len(methods), PER_ROW, 1.55, 1.3, sharex=True)
        reached = 0.0
        for axes, row in zip(panels, methods, strict=True):
            reached = max(reached, _draw(axes, evidence, task, row.name))
            axes.set_title(fill(row.label, 24), loc="left")
            axes.tick_params(labelbottom=True, labelsize=7)
            tidy(axes)
        panels[0].set_xlim(0, min(1.0, reached + 2 * BINS[1]) if reached else 1.0)
        figure.supxlabel("Edit distance / sum of lengths", fontsize=8)
        figure.supylabel("Traces (%)", fontsize=8)
        figure.legend(
            handles=[
                Patch(facecolor=tint(OTHER), edgecolor=OTHER, label="held-out problems"),
                Patch(facecolor="none", edgecolor="#000000", label="training problems"),
            ],
            loc="outside upper center", ncols=2,
        )  # fmt: skip
        said = report.on(tasks=[task]) if reached else task
        caption = (
            f"How much the second attempt differs from the first on {said}: "
            "edit distance in characters over the sum of both lengths, 0 for a copy, greedy "
            f"decoding{', all seeds together' * (len(report.spec.seeds) > 1)}, with the share of "
            "copies at held-out problems. Filled: held-out problems; outlined, where sampled: "
            "training problems. Every panel's vertical axis is its own; at most a hundredth of a "
            "method's traces is beyond the horizontal one."
        )
        missing = lacking(report, evidence.grades, {task: [row.name for row in methods]})
        asked = {task: report.spec.shown["familiar"].get(task, ())}
        missing += [f"training problems of {of}"
                    for of in lacking(report, evidence.familiar, asked)]  # fmt: skip
        yield Drawing(f"edits_{task}", f"Edits on {task}", "Fig. 4", figure,
                      caption + sentence(missing))  # fmt: skip


def _draw(axes: Axes, evidence: Evidence, task: str, method: str) -> float:
    """Draw a method's histograms; returns the ratio that a hundredth of its traces exceed."""
    held_out = [edit_ratios(of.attempts, "greedy")
                for of in evidence.seeds(evidence.grades, task, method)]  # fmt: skip
    if not held_out:
        say_missing(axes, "no grades")
        return 0.0
    own = colour(method)
    ratios = np.concatenate(held_out)
    _histogram(axes, ratios, facecolor=tint(own), edgecolor=own, linewidth=0.6)
    axes.text(0.97, 0.95, f"{100 * (ratios == 0).mean():.0f} % copies", ha="right", va="top",
              transform=axes.transAxes, fontsize=7)  # fmt: skip
    familiar = [edit_ratios(of, "familiar")
                for of in evidence.seeds(evidence.familiar, task, method)]  # fmt: skip
    if familiar:
        _histogram(axes, np.concatenate(familiar), facecolor="none", edgecolor="#000000",
                   linewidth=0.7, histtype="step")  # fmt: skip
    return float(np.quantile(np.concatenate([*held_out, *familiar]), 1 - BEYOND))


def _histogram(axes: Axes, ratios: np.ndarray, **how: Any) -> None:
    weights = np.full(len(ratios), 100 / len(ratios))
    axes.hist(ratios, bins=BINS, weights=weights, **how)
