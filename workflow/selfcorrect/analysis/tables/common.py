"""What tables share: cells, what captions and notes say, the first columns of their numbers."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from selfcorrect.analysis.render import Cell, Column, number
from selfcorrect.analysis.statistics import Estimate, Interval
from selfcorrect.analysis.summary import Report, Summary

# On how much a row was measured; LaTeX has it in the caption.
EXTENT = (Column("n", on_paper=False), Column("seeds", on_paper=False))
# Of a row of numbers.
IDENTITY = ("task", "method", "label", "decoding", "n", "samples", "seeds")


def grouped(
    report: Report, shown: Sequence[Summary], cells: Callable[[Summary], list[Cell]]
) -> dict[str, list[list[Cell]]]:
    """A table's rows by task; tasks without any are left out."""
    return {
        task: [cells(summary) for summary in shown if summary.task == task]
        for task in report.spec.tasks
        if any(summary.task == task for summary in shown)
    }


def what(report: Report, shown: Sequence[Summary], sampled: bool = False) -> str:
    """The second half of a caption: what was measured, on how much."""
    parts = []
    for task in report.spec.tasks:
        of_task = [summary for summary in shown if summary.task == task]
        if of_task:
            seeds = max((summary.seeds for summary in of_task), key=len)
            plural = "seed" if len(seeds) == 1 else "seeds"
            parts.append(
                f"{task}, {of_task[0].problems} problems, {plural} {seeds_in_short(seeds)}"
            )
            if sampled:
                parts[-1] += f", T = {report.spec.temperatures[task]:g}"
    how = "sampled" if sampled else "greedy decoding"
    return "; ".join([*parts, f"{how}, percent of problems."])


def extent(summary: Summary) -> tuple[Cell, Cell]:
    """The cells of ``EXTENT``."""
    return Cell(str(summary.problems)), Cell(seeds_in_short(summary.seeds))


def cell(of: Estimate, signed: bool = False, bold: bool = False) -> Cell:
    """An estimate with its interval."""
    return Cell(number(of.value, signed), interval((of.low, of.high), signed), bold)


def interval(of: Interval, signed: bool = False) -> str:
    """Its two ends."""
    return ", ".join(number(end, signed) for end in of)


def p_value(p: float) -> str:
    """With three decimals, as far as they go."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def seeds_in_short(seeds: Sequence[int]) -> str:
    """Seeds with runs shortened: 0–4, 7."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def about_intervals(report: Report) -> str:
    """A note: what the brackets hold."""
    seeds = len(report.spec.seeds)
    if seeds == 1:
        return (
            "In brackets: 95 % intervals over problems for this one seed (Wilson; for "
            "differences, paired, Bonett and Price); they do not hold the variation between "
            "training runs."
        )
    few = ""
    if seeds < 4:
        words, fewer = ("two", 60) if seeds == 2 else ("three", 75)
        few = (
            f" With {words} seeds some 90 % hold, and {fewer} % where some runs gain much and "
            "others nothing."
        )
    return (
        "Means over seeds. In brackets: 95 % intervals over seeds and problems, which are crossed: "
        "two-way variance components with Satterthwaite's degrees of freedom, in Wilson's form for "
        f"shares, paired t for differences.{few}"
    )


def about_the_test(report: Report) -> str:
    """The name of the test between accuracies."""
    if len(report.spec.seeds) == 1:
        return "McNemar's exact test"
    return "paired t test over seeds and problems"


def truncated(shown: Sequence[Summary]) -> int:
    """Attempts that ran into the token limit, of all rows."""
    return sum(summary.truncated_attempts for summary in shown)


def identity(summary: Summary) -> dict[str, Any]:
    """The values of ``IDENTITY``."""
    return {
        "task": summary.task,
        "method": summary.method.name,
        "label": summary.method.label,
        "decoding": summary.decoding,
        "n": summary.problems,
        "samples": summary.samples,
        "seeds": json.dumps(summary.seeds),
    }


def of_seeds(values: Sequence[float]) -> str:
    """A value for each seed as JSON, null where there is none."""
    return json.dumps([None if math.isnan(of) else float(f"{of:.10g}") for of in values])


def estimate_columns(name: str) -> tuple[str, str, str, str]:
    """The columns of an estimate: itself, the ends of its interval, its value in each seed."""
    return name, f"{name}_low", f"{name}_high", f"{name}_per_seed"


def estimate(name: str, of: Estimate) -> dict[str, Any]:
    """The values of ``estimate_columns``, in its own units."""
    values = (of.value, of.low, of.high, of_seeds(of.per_seed))
    return dict(zip(estimate_columns(name), values, strict=True))
