"""Accuracy over many attempts (Fig. 8), and where problems come from at each of them."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    band,
    fewer,
    lacking,
    over,
    panels,
    say_missing,
    sentence,
    tidy,
    titled,
    wrapped,
)
from selfcorrect.analysis.figures.style import FLOW, MARKERS, colour
from selfcorrect.analysis.flow import Flow, flow
from selfcorrect.analysis.metrics import accuracy_by_turn
from selfcorrect.analysis.results import Place
from selfcorrect.analysis.summary import Report

PER_ROW = 3  # panels
PARTS = {
    "kept": "right, as before",
    "gained": "right, wrong before",
    "lost": "wrong, right before",
    "open": "wrong, as before",
}


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """Accuracy over attempts, and the flow between right and wrong."""
    yield _accuracy(evidence)
    yield _flow(evidence)


def _accuracy(evidence: Evidence) -> Drawing:
    report = evidence.report
    tasks = report.spec.tasks
    figure, shown_in = wrapped(len(tasks), PER_ROW, 2.6, 2.1, sharey=True)
    names: dict[str, str] = {}
    for axes, task in zip(shown_in, tasks, strict=True):
        shown = [of for of in report.with_more_attempts("greedy") if of.task == task]
        if not shown:
            say_missing(axes, "no method was given more than two attempts")
        for of in shown:
            marker = names.setdefault(of.method.name, MARKERS[len(names) % len(MARKERS)])
            band(axes, range(1, len(of.turns) + 1), of.turns, color=colour(of.method.name),
                 marker=marker, markersize=3)  # fmt: skip
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        axes.set_xlabel("Attempt")
        axes.set_xticks(range(1, max((len(of.turns) for of in shown), default=1) + 1))
        tidy(axes)
    shown_in[0].set_ylabel("Accuracy (%)")
    handles = [Line2D([], [], color=colour(name), marker=marker, markersize=3,
                      label=report.label(name)) for name, marker in names.items()]  # fmt: skip
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
    caption = (
        f"Accuracy of each of several attempts on {report.on()}, greedy decoding, "
        f"{report.seeds_in_words()}; bands are 95 % intervals {over(report)}. A model sees the "
        f"problem and {windows(report)}."
    )
    return Drawing("attempts", "Accuracy over attempts", "Fig. 8", figure,
                   caption + sentence(_lacking(evidence)))  # fmt: skip


def _lacking(evidence: Evidence) -> list[str]:
    report, asked = evidence.report, evidence.report.spec.shown["attempts"]
    turns = {
        Place(task, method, seed): accuracy_by_turn(of).shape[1]
        for task, methods in asked.items()
        for method in methods
        for seed, of in evidence.outcomes(task, method).items()
    }
    cut = [f"{run}, after attempt {count}" for run, count in fewer(report, turns)]
    return lacking(report, evidence.grades, asked) + cut


def windows(report: Report) -> str:
    """What a model sees of its earlier attempts, in words."""
    found = {
        (task, report.label(name)): count
        for task, of_task in report.spec.windows.items()
        for name, count in of_task.items()
    }
    usual = min(found.values(), default=1)
    last = "its last attempt" if usual == 1 else f"its last {usual} attempts"
    more = [f"{label} on {task} its last {count}" for (task, label), count in found.items()
            if count > usual]  # fmt: skip
    rest = f" ({', '.join(more)}, as in training)" if more else ""
    return f"{last}{rest}; older ones are dropped from the conversation"


def _flow(evidence: Evidence) -> Drawing:
    report = evidence.report
    tasks = report.spec.tasks
    methods = list(dict.fromkeys(of.method.name for of in report.with_more_attempts("greedy")))
    figure, grid = panels(len(tasks), max(len(methods), 1), 2.1, 1.6, sharey=True)
    for row, task in zip(grid, tasks, strict=True):
        if not methods:
            say_missing(row[0], "no method was given more than two attempts")
        for axes, method in zip(row, methods, strict=False):
            found = [flow(of) for of in evidence.outcomes(task, method).values()]
            if found:
                turns = min(len(of.kept) for of in found)  # a seed may have had fewer attempts
                _stack(axes, Flow(*(np.mean([part[:turns] for part in parts], axis=0)
                                    for parts in zip(*found, strict=True))))  # fmt: skip
            else:
                say_missing(axes, "no grades")
            axes.set_title(titled(report, method, task), loc="left")
    figure.supxlabel("Attempt", fontsize=8)
    figure.supylabel("Problems (%)", fontsize=8)
    figure.legend(
        handles=[Patch(facecolor=FLOW[part], label=label) for part, label in PARTS.items()],
        loc="outside upper center", ncols=4, handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
    caption = (
        "Where problems stand after each attempt and where they stood before it: right as before, "
        f"corrected, broken, or wrong as before; on {report.on()}, in percent of all, greedy "
        f"decoding, {report.seeds_in_words()}."
    )
    return Drawing("flow", "Flow between right and wrong", "beyond the paper", figure,
                   caption + sentence(_lacking(evidence)))  # fmt: skip


def _stack(axes: Axes, shares: Flow) -> None:
    attempts = np.arange(2, 2 + len(shares.kept))
    bottom = np.zeros(len(attempts))
    for part in PARTS:
        height = 100 * getattr(shares, part)
        axes.bar(attempts, height, bottom=bottom, width=0.85, color=FLOW[part])
        bottom += height
    axes.set(ylim=(0, 100))
    axes.set_xticks(attempts)
    axes.tick_params(labelsize=7)
