"""The figures: ``bars_main`` and ``bars_ablations``, accuracy of both attempts per method (the
paper's Fig. 1, left), and ``training``, the training curves (Fig. 6a)."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from selfcorrect.analysis import curves
from selfcorrect.analysis.render import number
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.style import MISSING, OTHER, colour, save, style, tint
from selfcorrect.analysis.summary import Report, Summary


def write(report: Report, logs: curves.Logs, folder: Path) -> None:
    """Draw all figures into ``folder``, which is made: PDF, PNG and the caption as text.

    A method's training curve goes on from those of the methods it starts from (``chains`` of the
    spec). What has no log is said to be missing.
    """
    folder.mkdir(parents=True)
    with style():
        for table in ("main", "ablations"):
            save(bars(report, table), folder, f"bars_{table}", bars_caption(report, table))
        panels = curves.panels_of(report)
        figure = curves.draw(report, logs, panels)
        save(figure, folder, "training", curves.caption(report, logs, panels))


def bars(report: Report, table: str) -> Figure:
    """Accuracy of both attempts per method with 95 % intervals, greedy; Δ at the right."""
    rows = [row for row in report.spec.methods if table in row.tables]
    tasks = report.spec.tasks
    figure = Figure(figsize=(1.9 + 3.3 * len(tasks), 0.75 + 0.36 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for task, axes in zip(tasks, panels, strict=True):
        found = {of.method.name: of for of in report.of(table, "greedy") if of.task == task}
        for at, row in enumerate(rows):
            if row.name in found:
                _draw_bars(axes, at, found[row.name])
            else:
                axes.text(1, at, "no grades", va="center", style="italic", color=MISSING)
        axes.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5), xlabel="Accuracy (%)")
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#dddddd", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        axes.text(1.03, 1.01, "Δ(t1,t2)", transform=axes.transAxes, va="bottom")
    figure.legend(
        handles=[
            Patch(facecolor=tint(OTHER), edgecolor=OTHER, linewidth=0.6,
                  label="first attempt (t1)"),
            Patch(facecolor=OTHER, label="second attempt (t2)"),
        ],
        loc="outside upper center", ncols=2, handlelength=1.2,
    )  # fmt: skip
    return figure


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


def _whiskers(of: Estimate) -> list[list[float]]:
    return [[of.value - of.low], [of.high - of.value]]


def bars_caption(report: Report, table: str) -> str:
    """What ``bars`` shows, to stand alone."""
    shown = report.of(table, "greedy")
    what = "ablation of SCoRe" if table == "ablations" else "method"
    sizes = ", ".join(f"{task} ({problems} problems)" for task, problems in
                      dict.fromkeys((of.task, of.problems) for of in shown))  # fmt: skip
    return " ".join(
        [
            f"Accuracy of the first (pale) and second (full colour) attempt of every {what} on "
            f"{sizes or 'no task'}, greedy decoding, {report.seeds_in_words()}. "
            f"Whiskers and brackets are 95 % intervals {_over(report)}; Δ(t1,t2) is the second "
            "attempt's accuracy minus the first's, in points, its interval from paired outcomes.",
            *report.missing_in_words(table),
        ]
    )


def _over(report: Report) -> str:
    return "over problems" if len(report.spec.seeds) == 1 else "over seeds and problems"
