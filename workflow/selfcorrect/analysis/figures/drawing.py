"""What a figure is: a name, what is drawn, and words that stand alone; and what figures share."""

from collections.abc import Collection, Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfcorrect.analysis.figures.style import MISSING
from selfcorrect.analysis.results import Place
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.summary import OTHERS, Report


class Drawing(NamedTuple):
    """A finished figure; ``source`` is the figure of the paper that it is the counterpart of."""

    name: str
    title: str
    source: str
    figure: Figure
    caption: str


def panels(
    rows: int, columns: int, width: float, height: float, **how: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes, [rows, columns]; each ``width`` x ``height`` inches."""
    figure = Figure(figsize=(0.5 + width * columns, 0.5 + height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **how)


def wrapped(count: int, per_row: int, width: float, height: float, **how: Any
            ) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A figure and ``count`` axes of it, in rows of ``per_row``."""
    columns = max(min(count, per_row), 1)
    rows = max(-(-count // columns), 1)
    figure, grid = panels(rows, columns, width, height, **how)
    for axes in grid.ravel()[count:]:
        axes.set_axis_off()
    return figure, list(grid.ravel()[:count])


def in_steps(axes: Axes) -> None:
    """Whole numbers alone at the horizontal axis."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def tidy(axes: Axes) -> None:
    """A faint grid behind what is drawn."""
    axes.grid(color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)


def say_missing(axes: Axes, what: str) -> None:
    """Words in place of what cannot be drawn."""
    axes.text(
        0.5, 0.5, fill(what, 34), transform=axes.transAxes, ha="center", va="center",
        style="italic", color=MISSING,
    )  # fmt: skip


def band(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], **line: Any) -> None:
    """Estimates in percent over ``x`` as a line, with their intervals as a band around it.

    What is of nothing, and so NaN, is a gap.
    """
    how: dict[str, Any] = {"marker": "o", "markersize": 2.5, "lw": 1.2, **line}
    (drawn,) = axes.plot(x, [of.value for of in estimates], **how)
    axes.fill_between(
        x, [of.low for of in estimates], [of.high for of in estimates],
        where=[of.value == of.value for of in estimates],
        color=drawn.get_color(), alpha=0.15, linewidth=0,
    )  # fmt: skip


def whiskers(
    axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], *, hollow: bool, **line: Any
) -> None:
    """Estimates in percent over ``x`` as marks with their intervals, joined by a line."""
    ends = [[of.value - of.low for of in estimates], [of.high - of.value for of in estimates]]
    axes.errorbar(
        x, [of.value for of in estimates], yerr=ends, markersize=3, lw=1.2, capsize=2,
        elinewidth=0.8, markerfacecolor="#ffffff" if hollow else line["color"],
        **{"marker": "o", **line},
    )  # fmt: skip


def titled(report: Report, method: str, task: str) -> str:
    """A method's label, with the task where there are several."""
    label = report.label(method)
    return f"{label} ({task})" if len(report.spec.tasks) > 1 else label


def over(report: Report) -> str:
    """What intervals are over, for captions."""
    return "over problems" if len(report.spec.seeds) == 1 else "over seeds and problems"


def lacking(
    report: Report, there: Collection[Place], wanted: Mapping[str, Sequence[str]]
) -> list[str]:
    """What is not there of the methods that are wanted of each task, in words."""
    found = []
    for task, methods in wanted.items():
        for method in methods:
            seeds = [str(seed) for seed in report.spec.seeds
                     if Place(task, method, seed) not in there]  # fmt: skip
            if seeds:
                partly = len(seeds) < len(report.spec.seeds)
                noun = "seed" if len(seeds) == 1 else "seeds"
                which = f", {noun} {', '.join(seeds)}" if partly else ""
                found.append(f"{report.label(method)} on {task}{which}")
    return found


def fewer(report: Report, counts: Mapping[Place, int]) -> list[tuple[str, int]]:
    """Of which runs there is less than of others of their task, in words, and how much there is."""
    most = {task: max((count for at, count in counts.items() if at.task == task), default=0)
            for task in report.spec.tasks}  # fmt: skip
    return [(f"{report.label(at.node)} on {at.task}, seed {at.seed}", count)
            for at, count in counts.items() if count < most[at.task]]  # fmt: skip


def sentence(missing: Sequence[str]) -> str:
    """What is not shown, as a sentence for a caption, or nothing."""
    return f" Missing: {'; '.join(missing)}.{OTHERS}" if missing else ""
