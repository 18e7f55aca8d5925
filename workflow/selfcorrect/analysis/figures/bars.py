"""Accuracy of both attempts per method, and what the second one changes (Fig. 1, left)."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import Drawing, over, wrapped
from selfcorrect.analysis.figures.style import MISSING, OTHER, colour, tint
from selfcorrect.analysis.render import number
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.summary import Report, Summary
from selfcorrect.reporting import MethodRow

PER_ROW = 3  # panels
TITLES = {
    "main": ("Self-correction of every method", "Fig. 1 left"),
    "ablations": ("Ablations of SCoRe", "Table 4"),
}
WHAT = {"main": "every method", "ablations": "SCoRe, its ablations and their references"}


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """Two figures for each table of methods: accuracies, and changes between right and wrong."""
    report = evidence.report
    for table, (title, source) in TITLES.items():
        if any(table in row.tables for row in report.spec.methods):
            caption = bars_caption(report, table)
            figure = bars(report, table)
            yield Drawing(f"bars_{table}", title, source, figure, caption)
            caption = transitions_caption(report, table)
            figure = transitions(report, table)
            yield Drawing(f"transitions_{table}", f"{title}: what changes", source, figure,
                          caption)  # fmt: skip


def bars(report: Report, table: str) -> Figure:
    """Accuracy of both attempts per method with 95 % intervals, greedy; Δ at the right."""
    rows = [row for row in report.spec.methods if table in row.tables]
    tasks = report.spec.tasks
    figure, panels = _panels(len(tasks), 3.3, 0.36 * len(rows))
    for task, axes in zip(tasks, panels, strict=True):
        found = {of.method.name: of for of in report.of(table, "greedy") if of.task == task}
        for at, row in enumerate(rows):
            if row.name in found:
                _draw_bars(axes, at, found[row.name])
                _mark(axes, at + 0.36, report.mark(found[row.name]))
            else:
                axes.text(1, at, "no grades", va="center", style="italic", color=MISSING)
        axes.set(xlim=(0, 100), xlabel="Accuracy (%)")
        _name_rows(axes, rows, task if len(tasks) > 1 else "")
        axes.text(1.03, 1.01, "Δ(t1,t2)", transform=axes.transAxes, va="bottom")
    _explain(figure, pale="first attempt (t1)", full="second attempt (t2)")
    return figure


def _name_rows(axes: Axes, rows: Sequence[MethodRow], title: str) -> None:
    """Methods from top to bottom."""
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_title(title, loc="left")


def _explain(figure: Figure, pale: str, full: str) -> None:
    """What the two strengths of a colour stand for."""
    handles = [
        Patch(facecolor=tint(OTHER), edgecolor=OTHER, linewidth=0.6, label=pale),
        Patch(facecolor=OTHER, label=full),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, handlelength=1.2)


def _draw_bars(axes: Axes, at: int, of: Summary) -> None:
    own = colour(of.method.name)
    for offset, turn in ((-0.19, "t1"), (0.19, "t2")):
        estimate = of.metrics[turn]
        axes.barh(
            at + offset, estimate.value, height=0.36, xerr=_whiskers(estimate), edgecolor=own,
            facecolor=tint(own) if turn == "t1" else own, linewidth=0.6,
            error_kw={"elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8, "ecolor": "#000000"},
        )  # fmt: skip
    delta = of.metrics["delta"]
    value, low, high = (number(part, signed=True) for part in (delta.value, delta.low, delta.high))
    axes.text(
        1.03, at, f"{value} [{low}, {high}]", transform=axes.get_yaxis_transform(), va="center"
    )


def _mark(axes: Axes, at: float, said: str) -> None:
    """Say something of a row, to its right."""
    if said:
        axes.text(1.03, at, said, transform=axes.get_yaxis_transform(), ha="left", va="center",
              style="italic", color=MISSING, fontsize=6)  # fmt: skip


def _panels(tasks: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A panel a task, beside the methods' names at the left."""
    figure, panels = wrapped(tasks, PER_ROW, width, height + 0.4, sharey=True)
    inches, tall = figure.get_size_inches()
    figure.set_size_inches(inches + 1.4, tall)
    return figure, panels


def _whiskers(of: Estimate) -> list[list[float]]:
    return [[of.value - of.low], [of.high - of.value]]


def bars_caption(report: Report, table: str) -> str:
    """What ``bars`` shows, to stand alone."""
    return " ".join(
        [
            f"Accuracy of the first (pale) and second (full colour) attempt of {WHAT[table]} on "
            f"{report.on()}, greedy decoding, {report.seeds_in_words()}. "
            f"Whiskers and brackets are 95 % intervals {over(report)}; Δ(t1,t2) is the second "
            "attempt's accuracy minus the first's, in points, its interval from paired outcomes.",
            *report.missing_in_words(table),
        ]
    )


def transitions(report: Report, table: str) -> Figure:
    """Δi→c to the right and Δc→i to the left, per method, with 95 % intervals, greedy."""
    rows = [row for row in report.spec.methods if table in row.tables]
    tasks = report.spec.tasks
    figure, panels = _panels(len(tasks), 2.7, 0.26 * len(rows))
    for task, axes in zip(tasks, panels, strict=True):
        found = {of.method.name: of for of in report.of(table, "greedy") if of.task == task}
        for at, row in enumerate(rows):
            if row.name not in found:
                axes.text(0, at, "no grades", va="center", style="italic", color=MISSING)
                continue
            own, metrics = colour(row.name), found[row.name].metrics
            for metric, side in (("i_to_c", 1), ("c_to_i", -1)):
                of = metrics[metric]
                axes.barh(
                    at, side * of.value, height=0.7, xerr=_whiskers(of)[::side], edgecolor=own,
                    facecolor=own if side > 0 else tint(own), linewidth=0.6,
                    error_kw={"elinewidth": 0.8, "capsize": 1.8, "ecolor": "#000000"},
                )  # fmt: skip
            _mark(axes, at, report.mark(found[row.name]))
        axes.axvline(0, color="#000000", linewidth=0.6)
        axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        axes.set_xlabel("Problems (%)")
        _name_rows(axes, rows, task if len(tasks) > 1 else "")
    _explain(figure, pale="right, then wrong (Δc→i)", full="wrong, then right (Δi→c)")
    return figure


def transitions_caption(report: Report, table: str) -> str:
    """What ``transitions`` shows, to stand alone."""
    return " ".join(
        [
            f"What the second attempt of {WHAT[table]} changes on {report.on()}: problems that it "
            "corrects (right, full colour) and that it breaks (left, pale), in percent of all "
            f"problems, greedy decoding, {report.seeds_in_words()}. Whiskers are 95 % intervals "
            f"{over(report)}.",
            *report.missing_in_words(table),
        ]
    )
