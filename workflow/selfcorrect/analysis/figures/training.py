"""The training curves (Fig. 6): accuracy of both attempts over training, of every method trained
by RL, and how often the second attempt changes the answer."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures import drawing
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    in_steps,
    say_missing,
    sentence,
    tidy,
    titled,
)
from selfcorrect.analysis.figures.style import COLOURS, MISSING, colour, dashes
from selfcorrect.analysis.results import Place
from selfcorrect.analysis.summary import Report

PANELS_PER_ROW = 3
LEGEND = 2.2  # inches of a legend beside the panels
FIRST = "#333333"  # first attempts, in every panel; second attempts have the method's colour
REWARDS = ("reward_t1", "reward_t2")  # columns of a log
Logs = Mapping[Place, pd.DataFrame]
Panel = tuple[str, tuple[str, ...]]  # a task, and the methods that were trained one after another


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """Accuracies, a panel a method, and changes of the answer, a panel a task.

    A method's curve goes on from those of the methods it starts from (``chains`` of the spec).
    """
    report, logs = evidence.report, evidence.logs
    found = panels_of(report)
    yield Drawing("training", "Accuracy during training", "Fig. 6a", draw(report, logs, found),
                  caption(report, logs, found))  # fmt: skip
    yield _changes(report, logs, found)


def _changes(report: Report, logs: Logs, found: Sequence[Panel]) -> Drawing:
    tasks = report.spec.tasks
    figure, shown_in = drawing.wrapped(len(tasks), PANELS_PER_ROW, 2.8, 2.1, sharey=True)
    handles: dict[str, Line2D] = {}
    # Only methods that can be told from others on the same axes: those of sweeps cannot.
    told = [(task, chain) for task, chain in found if chain[-1] in COLOURS]
    for axes, task in zip(shown_in, tasks, strict=True):
        stages = [chain for of, chain in told if of == task]
        drawn: set[str] = set()
        for chain in stages:
            runs, ends = values(logs, task, chain, report.spec.seeds, "changed")
            if not runs.notna().to_numpy().any():
                continue  # trained on one attempt, or no log
            # What several methods start with is drawn once, as what it is.
            for node, mean in zip(chain, smoothed(runs, ends), strict=True):
                if mean is not None and node not in drawn:
                    drawn.add(node)
                    axes.plot(mean.index, mean, color=colour(node), linestyle=dashes(node), lw=1.1)
                    handles[node] = Line2D([], [], color=colour(node), linestyle=dashes(node),
                                           label=report.label(node))  # fmt: skip
            for end in ends[:-1]:
                axes.axvline(end, color="#555555", linewidth=0.6, linestyle=":")
        if not axes.lines:
            say_missing(axes, "no training log of two attempts")
        axes.set(ylim=(0, 100), xlabel="Training step")
        in_steps(axes)
        axes.set_title(task if len(tasks) > 1 else "", loc="left")
        tidy(axes)
    shown_in[0].set_ylabel("Answers that change (%)")
    if handles:
        figure.legend(handles=list(handles.values()), loc="outside right upper", handlelength=3)
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + LEGEND, height)  # its room is not the panels'
    text = (
        "How often the second attempt's answer differs from the first's on the sampled training "
        f"batches of {' and '.join(tasks)}, over training, {report.seeds_in_words()}, smoothed by "
        "a centred moving mean over a twentieth of all steps. Attempts without a readable answer "
        "are compared letter by letter. What starts from Stage I goes on from it past the dotted "
        "line."
    )
    if len(told) < len(found):
        text += " Methods without a colour of their own are left out."
    return Drawing("changes", "How often answers change during training", "Fig. 6b", figure,
                   text + sentence(all_gaps(report, logs, told, ["changed"])))  # fmt: skip


def panels_of(report: Report) -> list[Panel]:
    """A panel per task and chain of stages; one that another chain goes on from is part of its."""
    chains = report.spec.chains
    earlier = {node for chain in chains for node in chain[:-1]}
    return [
        (task, chain) for task in report.spec.tasks for chain in chains if chain[-1] not in earlier
    ]


def draw(report: Report, logs: Logs, panels: Sequence[Panel]) -> Figure:
    """Accuracy of both attempts over training steps: means of seeds smoothed, runs faint."""
    columns = min(PANELS_PER_ROW, max(len(panels), 1))
    rows = max(-(-len(panels) // columns), 1)
    figure = Figure(figsize=(0.5 + 2.1 * columns, 0.9 + 1.55 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (task, chain) in zip(grid, panels, strict=False):
        _draw_training(axes, report, logs, task, chain)
        axes.set_title(fill(titled(report, chain[-1], task), 30), loc="left")
        axes.tick_params(labelbottom=True)
    if not panels:
        figure.text(0.5, 0.5, "no training log", ha="center", style="italic", color=MISSING)
    figure.supxlabel("Training step", fontsize=8)
    figure.supylabel("Accuracy on training problems (%)", fontsize=8)
    figure.legend(
        handles=[
            Line2D([], [], color=FIRST, linestyle="--", label="first attempt (t1)"),
            Line2D([], [], color=colour("score"), label="second attempt (t2, method's colour)"),
        ],
        loc="outside upper center", ncols=2,
    )  # fmt: skip
    return figure


def accuracies(logs: Logs, task: str, chain: Sequence[str], seeds: Sequence[int], turn: str
           ) -> tuple[pd.DataFrame, list[int]]:  # fmt: skip
    """A chain's accuracies of a turn; see ``values``."""
    return values(logs, task, chain, seeds, f"reward_{turn}")


def values(logs: Logs, task: str, chain: Sequence[str], seeds: Sequence[int], column: str
           ) -> tuple[pd.DataFrame, list[int]]:  # fmt: skip
    """A column of a chain's logs in percent, a row per step and one column per seed, and where
    parts end.

    A later part's steps go on from the last step of the part before. Seeds without a log, and
    runs that had no such number, have none.
    """
    parts, ends, at = [], [], 0
    for node in chain:
        found = {
            seed: 100 * pd.to_numeric(log.set_index("step")[column], errors="coerce")
            for seed in seeds
            if (log := logs.get(Place(task, node, seed))) is not None and column in log
        }
        part = pd.DataFrame(found, columns=list(seeds), dtype=float)
        steps = [log["step"].max() for of, log in logs.items()
                 if (of.task, of.node) == (task, node) and len(log)]  # fmt: skip
        parts.append(part.set_axis(part.index + at))
        at += int(max(steps, default=0))
        ends.append(at)
    return pd.concat([part for part in parts if len(part)] or parts[:1]), ends


def smooth(values: pd.Series, total: int) -> pd.Series:
    """Centred moving mean over a twentieth of all steps."""
    window = max(total // 20, 1)
    return values.rolling(window, center=True, min_periods=(window + 1) // 2).mean()


def smoothed(runs: pd.DataFrame, ends: Sequence[int]) -> Iterator[pd.Series | None]:
    """Every part's mean over seeds, smoothed; None where it has no numbers.

    Within a part: what a stage starts with must not leak into the one before.
    """
    for start, end in pairwise([-np.inf, *ends]):
        part = runs[(runs.index > start) & (runs.index <= end)]
        there = part.notna().to_numpy().any()
        yield smooth(part.mean(axis=1), ends[-1]) if there else None


def _draw_training(axes: Axes, report: Report, logs: Logs, task: str, chain: Sequence[str]) -> None:
    for turn, ink, line in (("t2", colour(chain[-1]), "-"), ("t1", FIRST, "--")):
        runs, ends = accuracies(logs, task, chain, report.spec.seeds, turn)
        for seed in runs:
            axes.plot(runs.index, runs[seed], color=ink, alpha=0.3 / len(runs.columns), lw=0.4)
        for mean in smoothed(runs, ends):
            if mean is not None:
                axes.plot(mean.index, mean, color=ink, linestyle=line, lw=1.2)
    for number, end in enumerate(ends[:-1], start=1):
        axes.axvline(end, color="#555555", linewidth=0.6, linestyle=":")
        axes.annotate(f"Stage {'I' * (number + 1)}", (end, 0.03), (3, 0), ha="left",
                      xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
        axes.annotate(f"Stage {'I' * number}", (end, 0.03), (-3, 0), ha="right",
                      xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    axes.set(ylim=(0, 100))
    axes.grid(color="#e5e5e5", linewidth=0.5)
    gaps = gaps_of(report, logs, task, chain)
    if gaps:
        axes.text(0.5, 0.17, fill("; ".join(gaps), 34), transform=axes.transAxes, ha="center",
                  style="italic", color=MISSING, fontsize=7)  # fmt: skip


def gaps_of(
    report: Report,
    logs: Logs,
    task: str,
    chain: Sequence[str],
    columns: Sequence[str] = REWARDS,
) -> list[str]:
    """What a panel cannot show, in words: runs without a log, or with one that is empty or shorter
    than others, and values of ``columns`` that are NaN. No run need have all columns.
    """
    gaps = []
    for number, node in enumerate(chain, start=1):
        runs = [log for place, log in logs.items() if (place.task, place.node) == (task, node)]
        longest = max(map(len, runs), default=0)
        logged = [column for column in columns if any(column in log for log in runs)]
        for seed in report.spec.seeds:
            stage = [f"Stage {'I' * number}"] if len(chain) > 1 else []
            run = [f"seed {seed}"] if len(report.spec.seeds) > 1 else []
            where = f" ({', '.join(stage + run)})" if stage + run else ""
            log = logs.get(Place(task, node, seed))
            if log is None:
                gaps.append(f"no training log{where}")
            elif not len(log) or any(column not in log for column in logged):
                gaps.append(f"no steps logged{where}")
            else:
                bad = int((~np.isfinite(log[logged].to_numpy(float))).any(axis=1).sum())
                if bad:
                    gaps.append(f"{bad} of {len(log)} steps are NaN{where}")
                if len(log) < longest:
                    gaps.append(f"{len(log)} of {longest} steps logged{where}")
    return gaps


def all_gaps(
    report: Report, logs: Logs, panels: Sequence[Panel], columns: Sequence[str] = REWARDS
) -> list[str]:
    """What several panels cannot show, each with its method and task."""
    return [
        f"{report.label(chain[-1])} on {task}, {gap}"
        for task, chain in panels
        for gap in gaps_of(report, logs, task, chain, columns)
    ]


def caption(report: Report, logs: Logs, panels: Sequence[Panel]) -> str:
    """What ``training`` shows, to stand alone."""
    if not panels:
        return "Accuracy on training problems over training: no training log was given."
    text = (
        "Accuracy of the first (dashed) and second (solid) attempt on the sampled training batches "
        f"of {' and '.join(report.spec.tasks)} over training, {report.seeds_in_words()}. Faint "
        "lines are the single runs, step by step; strong lines their mean, smoothed by a centred "
        "moving mean over a twentieth of all steps. A method that starts from Stage I is shown "
        "after it, past the dotted line. A method that is trained on one attempt has no second one "
        "here."
    )
    return text + sentence(all_gaps(report, logs, panels))
