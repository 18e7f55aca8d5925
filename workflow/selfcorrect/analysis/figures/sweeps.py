"""One setting over several values (Fig. 9 is that of γ): accuracy of both attempts, and Δ."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    over,
    panels,
    say_missing,
    sentence,
    tidy,
)
from selfcorrect.analysis.figures.style import colour
from selfcorrect.analysis.summary import Report, Summary
from selfcorrect.spec import Sweep

Point = tuple[float | str, Summary | None]  # a value, and what came out


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """One figure a sweep."""
    for name, sweep in evidence.report.spec.sweeps.items():
        yield (
            _over_tasks(evidence.report, name, sweep)
            if sweep.tasks
            else _over_methods(evidence.report, name, sweep)
        )


def _over_methods(report: Report, name: str, sweep: Sweep) -> Drawing:
    tasks = report.spec.tasks
    words = isinstance(next(iter(sweep.methods.values())), str)
    figure, grid = panels(2, len(tasks), 3.2 if words else 2.6, 1.7, sharex="col")
    missing = []
    for column, task in enumerate(tasks):
        points = [(value, summary(report, task, method)) for method, value in sweep.methods.items()]
        missing += [f"{report.label(method)} on {task}" for method, (_, of) in
                    zip(sweep.methods, points, strict=True) if of is None]  # fmt: skip
        upper, lower = grid[:, column]
        for metric, dashes in (("t1", "--"), ("t2", "-")):
            _line(upper, points, metric, color=colour("score"), linestyle=dashes)
        _line(lower, points, "delta", color=colour("score"))
        _finish(upper, lower, sweep, points, task if len(tasks) > 1 else "")
    figure.legend(handles=_turns(colour("score")), loc="outside upper center", ncols=2,
                  handlelength=2.2)  # fmt: skip
    caption = (
        f"{sweep.label}: accuracy of the first (dashed) and second (solid) attempt, and below "
        f"Δ(t1,t2), greedy decoding, {report.seeds_in_words()}. Whiskers are 95 % intervals "
        f"{over(report)}."
    )
    source = "Fig. 9" if name == "gamma" else "beyond the paper"
    return Drawing(f"sweep_{name}", sweep.label, source, figure, caption + sentence(missing))


def _over_tasks(report: Report, name: str, sweep: Sweep) -> Drawing:
    figure, grid = panels(2, 1, 3.4, 1.8, sharex="col")
    upper, lower = grid[:, 0]
    missing = []
    points: Sequence[Point] = []
    for method in sweep.lines:
        points = [(value, summary(report, task, method)) for task, value in sweep.tasks.items()]
        missing += [f"{report.label(method)} on {task}" for task, (_, of) in
                    zip(sweep.tasks, points, strict=True) if of is None]  # fmt: skip
        _line(upper, points, "t2", color=colour(method))
        _line(lower, points, "delta", color=colour(method))
    _finish(upper, lower, sweep, points, "")
    upper.set_ylabel("Accuracy@t2 (%)")
    handles = [Line2D([], [], color=colour(method), label=report.label(method))
               for method in sweep.lines]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    caption = (
        f"{sweep.label}: accuracy of the second attempt, and below Δ(t1,t2), greedy decoding, "
        f"{report.seeds_in_words()}. Whiskers are 95 % intervals {over(report)}."
    )
    return Drawing(f"sweep_{name}", sweep.label, "beyond the paper", figure,
                   caption + sentence(missing))  # fmt: skip


def summary(report: Report, task: str, method: str) -> Summary | None:
    """A method's greedy evaluation on a task."""
    return next((of for of in report.summaries if (of.task, of.method.name, of.decoding) ==
                 (task, method, "greedy")), None)  # fmt: skip


def _line(axes: Axes, points: Sequence[Point], metric: str, **line: Any) -> None:
    """A metric over the values, with whiskers; words stand side by side and are not joined."""
    there = [(at, value, of.metrics[metric]) for at, (value, of) in enumerate(points)
             if of is not None]  # fmt: skip
    words = any(isinstance(value, str) for _, value, _ in there)
    x = [at if words else value for at, value, _ in there]
    y = [of.value for _, _, of in there]
    ends = [[of.value - of.low for *_, of in there], [of.high - of.value for *_, of in there]]
    how = {**line, "linestyle": "none"} if words else line
    filled = "none" if words and line.get("linestyle") == "--" else line["color"]
    axes.errorbar(x, y, yerr=ends, marker="o", markersize=3, lw=1.2, capsize=2, elinewidth=0.8,
                  markerfacecolor=filled, **how)  # fmt: skip


def _finish(upper: Axes, lower: Axes, sweep: Sweep, points: Sequence[Point], title: str) -> None:
    values = [value for value, _ in points]
    if not any(of for _, of in points):
        say_missing(upper, "no grades")
    if values and isinstance(values[0], str):
        lower.set_xticks(range(len(values)), [str(value) for value in values], rotation=30,
                         ha="right")  # fmt: skip
    elif sweep.log:
        lower.set_xscale("log")
        lower.set_xticks(values, [f"{value:g}" for value in values], minor=False)
        lower.minorticks_off()
    elif len(values) > 2:
        # Values spread over orders of magnitude, zero among them.
        smallest = min(value for value in values if value > 0)  # type: ignore[operator]
        if max(values) > 20 * smallest:  # type: ignore[operator]
            lower.set_xscale("symlog", linthresh=smallest)
            lower.set_xticks(values, [f"{value:g}" for value in values], minor=False)
            lower.minorticks_off()
    upper.set_ylabel("Accuracy (%)")
    lower.set_ylabel("Δ(t1,t2)")
    lower.axhline(0, color="#555555", linewidth=0.6)
    lower.set_xlabel(sweep.label)
    upper.set_title(title, loc="left")
    tidy(upper)
    tidy(lower)


def _turns(ink: str) -> list[Line2D]:
    return [
        Line2D([], [], color=ink, linestyle="--", label="first attempt (t1)"),
        Line2D([], [], color=ink, label="second attempt (t2)"),
    ]
