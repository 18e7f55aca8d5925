"""One setting over several values (Fig. 9 is that of γ): accuracy of both attempts, and Δ.

Values stand at even distances, whatever they are: zero and orders of magnitude have their place
without an axis of another kind, and the attempts' whiskers stand side by side.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import nan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    lacking,
    over,
    panels,
    say_missing,
    sentence,
    tidy,
    whiskers,
)
from selfcorrect.analysis.figures.style import MARKERS, MISSING, OTHER, colour
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.summary import Report, Summary
from selfcorrect.spec import Sweep

EVEN = "Values stand at even distances, whatever they are."
LAST = "#999999"  # last attempts
NOTHING = Estimate(nan, nan, nan, ())
Point = tuple[float | str, Summary | None]  # a value, and what came out
Value = Callable[[Summary], Estimate]


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """One figure a sweep."""
    for name, sweep in evidence.report.spec.sweeps.items():
        yield (
            _over_tasks(evidence, name, sweep)
            if sweep.tasks
            else _over_methods(evidence, name, sweep)
        )


def _over_methods(evidence: Evidence, name: str, sweep: Sweep) -> Drawing:
    report = evidence.report
    tasks = report.spec.tasks
    methods = _in_order(sweep.methods)
    words, last = isinstance(next(iter(methods.values())), str), sweep.attempt == "last"
    figure, grid = panels(2, len(tasks), 3.2 if words else 2.6, 1.7, sharex="col", sharey="row")
    # Points are methods, some of other colours.
    attempts: list[tuple[str, Value, dict[str, Any]]] = [
        ("first attempt (t1)", _first, {"color": OTHER, "linestyle": "--", "hollow": True}),
        ("second attempt (t2)", _second, {"color": OTHER}),
    ]
    if last:
        attempts.append(("last attempt", _last, {"color": LAST, "linestyle": ":"}))
    for column, task in enumerate(tasks):
        points = [(value, summary(report, task, method)) for method, value in methods.items()]
        upper, lower = grid[:, column]
        for shift, (_, what, how) in zip(_side_by_side(len(attempts)), attempts, strict=True):
            _line(upper, points, what, shift=shift, **how)
        _mark(upper, report, points)
        _line(lower, points, (lambda of: of.gain) if last else _delta, color=OTHER)
        _finish(upper, lower, sweep, [points], task if len(tasks) > 1 else "")
        lower.set_ylabel("Δ(t1,last)" if last else "Δ(t1,t2)")
    handles = [_handle(label, words, **how) for label, _, how in attempts]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles),
                  handlelength=2.2)  # fmt: skip
    many = sorted({len(of.turns) for of in report.summaries
                   if of.method.name in methods and of.decoding == "greedy"})  # fmt: skip
    shown = (
        f"the first (hollow), second (dark) and last (light) of {' or '.join(map(str, many))} "
        "attempts, and below Δ(t1,last)"
        if last
        else "the first (hollow) and second (filled) attempt, and below Δ(t1,t2)"
    )
    text = (
        f"{sweep.label}: accuracy of {shown}, on {report.on(methods)}, greedy decoding, "
        f"{report.seeds_in_words()}. Whiskers are 95 % intervals {over(report)}."
    )
    missing = lacking(report, evidence.grades, dict.fromkeys(tasks, tuple(methods)))
    return Drawing(f"sweep_{name}", sweep.label, sweep.source, figure,
                   _caption(text, sweep, missing))  # fmt: skip


def _over_tasks(evidence: Evidence, name: str, sweep: Sweep) -> Drawing:
    report = evidence.report
    figure, grid = panels(2, 1, 3.4, 1.8, sharex="col")
    upper, lower = grid[:, 0]
    tasks = _in_order(sweep.tasks)
    words = isinstance(next(iter(tasks.values())), str)
    lines: list[list[Point]] = []
    handles = []
    for at, (shift, method) in enumerate(
        zip(_side_by_side(len(sweep.lines)), sweep.lines, strict=True)
    ):
        points = [(value, summary(report, task, method)) for task, value in tasks.items()]
        how: dict[str, Any] = {"color": colour(method), "marker": MARKERS[at % len(MARKERS)]}
        _line(upper, points, _second, shift=shift, **how)
        _mark(upper, report, points)
        _line(lower, points, _delta, shift=shift, **how)
        lines.append(points)
        handles.append(_handle(report.label(method), words, **how))
    _finish(upper, lower, sweep, lines, "")
    upper.set_ylabel("Accuracy@t2 (%)")
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    text = (
        f"{sweep.label}: accuracy of the second attempt, and below Δ(t1,t2), on "
        f"{report.on(tasks=sweep.tasks)}, greedy decoding, {report.seeds_in_words()}. Whiskers are "
        f"95 % intervals {over(report)}. Methods stand side by side at each value."
    )
    missing = lacking(report, evidence.grades, dict.fromkeys(sweep.tasks, sweep.lines))
    return Drawing(f"sweep_{name}", sweep.label, sweep.source, figure,
                   _caption(text, sweep, missing))  # fmt: skip


def _in_order(values: Mapping[str, float | str]) -> dict[str, float | str]:
    """By value where values are numbers, as they are given where they are words."""
    if any(isinstance(value, str) for value in values.values()):
        return dict(values)
    return dict(sorted(values.items(), key=lambda of: float(of[1])))


def _side_by_side(count: int) -> list[float]:
    """How far to the side lines have their marks, so that no whisker lies on another."""
    return [0.14 * (at - (count - 1) / 2) for at in range(count)]


def _handle(label: str, words: bool, *, color: str, marker: str = "o", hollow: bool = False,
            linestyle: Any = "-") -> Line2D:  # fmt: skip
    """A legend's entry that looks like what ``_line`` draws."""
    return Line2D([], [], label=label, color=color, marker=marker, markersize=3,
                  markerfacecolor="#ffffff" if hollow else color,
                  linestyle="none" if words else linestyle)  # fmt: skip


def _caption(text: str, sweep: Sweep, missing: Sequence[str]) -> str:
    values = (sweep.tasks or sweep.methods).values()
    even = "" if any(isinstance(value, str) for value in values) else EVEN
    return " ".join(filter(None, (text, even, sweep.note))) + sentence(missing)


def summary(report: Report, task: str, method: str) -> Summary | None:
    """A method's greedy evaluation on a task."""
    return next((of for of in report.summaries if (of.task, of.method.name, of.decoding) ==
                 (task, method, "greedy")), None)  # fmt: skip


def _first(of: Summary) -> Estimate:
    return of.metrics["t1"]


def _second(of: Summary) -> Estimate:
    return of.metrics["t2"]


def _last(of: Summary) -> Estimate:
    return of.turns[-1]


def _delta(of: Summary) -> Estimate:
    return of.metrics["delta"]


def _line(
    axes: Axes,
    points: Sequence[Point],
    what: Value,
    *,
    shift: float = 0.0,
    hollow: bool = False,
    **line: Any,
) -> None:
    """What came out over the values, with whiskers; words are not joined."""
    words = any(isinstance(value, str) for value, _ in points)
    how = {**line, "linestyle": "none"} if words else line
    # A value that is not there is a gap: nothing is drawn through it.
    whiskers(axes, [at + shift for at in range(len(points))],
             [NOTHING if of is None else what(of) for _, of in points],
             hollow=hollow, **how)  # fmt: skip


def _mark(axes: Axes, report: Report, points: Sequence[Point]) -> None:
    """Say of a second attempt where it is not of all seeds, or of such as learned nothing."""
    for x, (_, of) in enumerate(points):
        if of is not None and (said := report.mark(of)):
            axes.annotate(said, (x, _second(of).low), (0, -3), textcoords="offset points",
                          ha="center", va="top", style="italic", color=MISSING,
                          fontsize=6)  # fmt: skip


def _finish(
    upper: Axes, lower: Axes, sweep: Sweep, lines: Sequence[Sequence[Point]], title: str
) -> None:
    values = [value for value, _ in lines[0]]
    if not any(of for points in lines for _, of in points):
        say_missing(upper, "no grades")
    if isinstance(values[0], str):
        lower.set_xticks(range(len(values)), [str(value) for value in values], rotation=30,
                         ha="right")  # fmt: skip
    else:
        lower.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    lower.set_xlim(-0.4, len(values) - 0.6)
    upper.set_ylabel("Accuracy (%)")
    lower.set_ylabel("Δ(t1,t2)")
    lower.axhline(0, color="#555555", linewidth=0.6)
    lower.set_xlabel(sweep.label)
    upper.set_title(title, loc="left")
    tidy(upper)
    tidy(lower)
