"""Inference compute (Fig. 1, right): votes of parallel samples and of corrected ones."""

from collections.abc import Iterator

from matplotlib.lines import Line2D

from selfcorrect.analysis import statistics
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    band,
    fewer,
    lacking,
    over,
    say_missing,
    sentence,
    tidy,
    wrapped,
)
from selfcorrect.analysis.figures.style import MARKERS, OTHER, colour
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.summary import on_tasks

PER_ROW = 3  # panels
Curves = dict[int, tuple[Estimate, Estimate]]


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """One figure, a panel a task."""
    report = evidence.report
    tasks = report.spec.tasks
    figure, panels = wrapped(len(tasks), PER_ROW, 2.6, 2.2, sharey=True)
    shown: dict[str, str] = {}
    for axes, task in zip(panels, tasks, strict=True):
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        ticks: set[int] = set()
        for method in evidence.methods_with(evidence.voting, task):
            curves = estimated(evidence, task, method)
            mark = shown.setdefault(method, MARKERS[len(shown) % len(MARKERS)])
            ticks |= set(curves)
            for turn, dashes in enumerate(("--", "-")):
                band(axes, list(curves), [of[turn] for of in curves.values()], linestyle=dashes,
                     color=colour(method), marker=mark, markersize=3)  # fmt: skip
        if not evidence.methods_with(evidence.voting, task):
            say_missing(axes, "no sampled traces that vote")
            continue
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(ticks), [str(tick) for tick in sorted(ticks)])
        axes.set(xlabel="Samples per problem")
        tidy(axes)
    panels[0].set_ylabel("Accuracy of the vote (%)")
    handles = [
        *(
            Line2D([], [], color=colour(name), marker=mark, markersize=3, label=report.label(name))
            for name, mark in shown.items()
        ),
        Line2D([], [], color=OTHER, linestyle="--", label="2K in parallel"),
        Line2D([], [], color=OTHER, label="K, each corrected once"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=2.2)
    caption = (
        "Accuracy of a majority vote by the number of samples it takes: 2K first attempts in "
        "parallel (dashed) against K traces whose second attempts vote (solid), "
        f"{temperatures(evidence)}, {report.seeds_in_words()}, on {_problems(evidence)}. Attempts "
        "without a readable answer have no vote; among answers with equally many votes one is "
        "drawn, and its chance to be right is counted. Answers vote together, right or wrong, if "
        "they are the same in the grader's notation; programs if they are the same text. "
        f"Bands are 95 % intervals {over(report)}."
    )
    missing = lacking(report, evidence.voting, report.spec.shown["voting"])
    samples = {place: of["sample"].nunique() for place, of in evidence.voting.items()}
    missing += [f"{run}, all but its first {count} samples"
                for run, count in fewer(report, samples)]  # fmt: skip
    yield Drawing(
        "voting", "Inference compute", "Fig. 1 right", figure, caption + sentence(missing)
    )


def _problems(evidence: Evidence) -> str:
    return on_tasks({of.task: rows["problem"].nunique() for of, rows in evidence.voting.items()})


def estimated(evidence: Evidence, task: str, method: str) -> Curves:
    """By budget: parallel and corrected votes, in percent."""
    return {
        budget: (statistics.share(parallel).percent(), statistics.share(corrected).percent())
        for budget, (parallel, corrected) in evidence.votes(task, method).items()
    }


def temperatures(evidence: Evidence) -> str:
    """The temperature of the votes' samples, in words."""
    found = evidence.report.spec.voting_temperatures
    if len(set(found.values())) == 1:
        return f"T = {next(iter(found.values())):g}"
    return ", ".join(f"T = {value:g} on {task}" for task, value in found.items())
