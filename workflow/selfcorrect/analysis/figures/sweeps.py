"""One setting over several values (Fig. 9 is that of γ): accuracy of both attempts, and Δ."""

from collections.abc import Callable, Iterator, Sequence
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

LAST = "#999999"  # last attempts
NOTHING = Estimate(nan, nan, nan, ())
Point = tuple[float | str, Summary | None]  # a value, and what came out


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
    words = isinstance(next(iter(sweep.methods.values())), str)
    figure, grid = panels(2, len(tasks), 3.2 if words else 2.6, 1.7, sharex="col")
    ink, last = OTHER, sweep.attempt == "last"  # points are methods, some of other colours
    for column, task in enumerate(tasks):
        points = [(value, summary(report, task, method)) for method, value in sweep.methods.items()]
        upper, lower = grid[:, column]
        _line(upper, points, _first, hollow=True, color=ink, linestyle="--")
        _line(upper, points, _second, color=ink)
        _mark(upper, report, points)
        if last:
            _line(upper, points, _last, color=LAST, linestyle=":")
        _line(lower, points, (lambda of: of.gain) if last else _delta, color=ink)
        _finish(upper, lower, sweep, [points], task if len(tasks) > 1 else "")
        lower.set_ylabel("Δ(t1,last)" if last else "Δ(t1,t2)")
    handles = [
        Line2D([], [], color=ink, linestyle="--", label="first attempt (t1)"),
        Line2D([], [], color=ink, label="second attempt (t2)"),
        *([Line2D([], [], color=LAST, linestyle=":", label="last attempt")] if last else []),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles),
                  handlelength=2.2)  # fmt: skip
    many = sorted({len(of.turns) for of in report.summaries if of.method.name in sweep.methods})
    shown = (
        f"the first (dashed), second (solid) and last (dotted) of {' or '.join(map(str, many))} "
        "attempts, and below Δ(t1,last)"
        if last
        else "the first (dashed) and second (solid) attempt, and below Δ(t1,t2)"
    )
    text = (
        f"{sweep.label}: accuracy of {shown}, on {report.on(sweep.methods)}, greedy decoding, "
        f"{report.seeds_in_words()}. Whiskers are 95 % intervals {over(report)}."
    )
    missing = lacking(report, evidence.grades, dict.fromkeys(tasks, tuple(sweep.methods)))
    source = "Fig. 9" if name.startswith("gamma") else "beyond the paper"
    return Drawing(f"sweep_{name}", sweep.label, source, figure, _caption(text, sweep, missing))


def _over_tasks(evidence: Evidence, name: str, sweep: Sweep) -> Drawing:
    report = evidence.report
    figure, grid = panels(2, 1, 3.4, 1.8, sharex="col")
    upper, lower = grid[:, 0]
    lines: dict[str, list[Point]] = {}
    for at, method in enumerate(sweep.lines):
        points = lines[method] = [
            (value, summary(report, task, method)) for task, value in sweep.tasks.items()
        ]
        how: dict[str, Any] = {"color": colour(method), "marker": MARKERS[at % len(MARKERS)]}
        _line(upper, points, _second, **how)
        _mark(upper, report, points)
        _line(lower, points, _delta, **how)
    _finish(upper, lower, sweep, list(lines.values()), "")
    upper.set_ylabel("Accuracy@t2 (%)")
    handles = [Line2D([], [], color=colour(method), label=report.label(method), markersize=3,
                      marker=MARKERS[at % len(MARKERS)])
               for at, method in enumerate(sweep.lines)]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    text = (
        f"{sweep.label}: accuracy of the second attempt, and below Δ(t1,t2), greedy decoding, "
        f"{report.seeds_in_words()}. Whiskers are 95 % intervals {over(report)}."
    )
    missing = lacking(report, evidence.grades, dict.fromkeys(sweep.tasks, sweep.lines))
    return Drawing(f"sweep_{name}", sweep.label, "beyond the paper", figure,
                   _caption(text, sweep, missing))  # fmt: skip


def _caption(text: str, sweep: Sweep, missing: Sequence[str]) -> str:
    return " ".join(filter(None, (text, sweep.note))) + sentence(missing)


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
    what: Callable[[Summary], Estimate],
    *,
    hollow: bool = False,
    **line: Any,
) -> None:
    """What came out over the values, with whiskers; words stand side by side and are not joined."""
    words = any(isinstance(value, str) for value, _ in points)
    how = {**line, "linestyle": "none"} if words else line
    # A value that is not there is a gap: nothing is drawn through it.
    whiskers(axes, _places(points), [NOTHING if of is None else what(of) for _, of in points],
             hollow=hollow, **how)  # fmt: skip


def _places(points: Sequence[Point]) -> list[float]:
    """Where points are at the horizontal axis: at their values, or words side by side."""
    return [at if isinstance(value, str) else value for at, (value, _) in enumerate(points)]


def _mark(axes: Axes, report: Report, points: Sequence[Point]) -> None:
    """Say of a second attempt that it is not of all seeds."""
    for x, (_, of) in zip(_places(points), points, strict=True):
        if of is not None and (partly := report.some_seeds(len(of.seeds))):
            axes.annotate(partly, (x, _second(of).low), (0, -3), textcoords="offset points",
                          ha="center", va="top", style="italic", color=MISSING,
                          fontsize=6)  # fmt: skip


def _finish(
    upper: Axes, lower: Axes, sweep: Sweep, lines: Sequence[Sequence[Point]], title: str
) -> None:
    values = [value for value, _ in lines[0]]
    if not any(of for points in lines for _, of in points):
        say_missing(upper, "no grades")
    if values and isinstance(values[0], str):
        lower.set_xticks(range(len(values)), [str(value) for value in values], rotation=30,
                         ha="right")  # fmt: skip
    else:
        numbers = [float(value) for value in values]
        smallest = min((value for value in numbers if value > 0), default=1.0)
        if sweep.log:
            lower.set_xscale("log")
        elif max(numbers) > 20 * smallest:  # over orders of magnitude, zero among them
            lower.set_xscale("symlog", linthresh=smallest)
        lower.set_xticks(numbers, [f"{value:g}" for value in numbers], minor=False)
        lower.minorticks_off()
    upper.set_ylabel("Accuracy (%)")
    lower.set_ylabel("Δ(t1,t2)")
    lower.axhline(0, color="#555555", linewidth=0.6)
    lower.set_xlabel(sweep.label)
    upper.set_title(title, loc="left")
    tidy(upper)
    tidy(lower)
