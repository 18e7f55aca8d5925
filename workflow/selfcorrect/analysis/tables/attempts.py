"""Accuracy after each of many attempts (the paper's Fig. 8)."""

from collections.abc import Iterator

import pandas as pd

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.render import Cell, Column, Table
from selfcorrect.analysis.summary import Report, Summary, most_turns
from selfcorrect.analysis.tables import common


def tables(evidence: Evidence) -> Iterator[tuple[Table, pd.DataFrame]]:
    """The one table."""
    yield table(evidence.report), numbers(evidence.report)


def table(report: Report) -> Table:
    """Accuracy after each attempt, for the methods that were given more than two (Fig. 8)."""
    shown = report.with_more_attempts("greedy")
    turns = most_turns(shown)

    def cells(summary: Summary) -> list[Cell]:
        assert summary.later is not None
        later = [common.cell(estimate) for estimate in summary.turns]
        return [
            Cell(summary.method.label),
            *later, *[Cell("")] * (turns - len(later)),
            common.cell(summary.later, signed=True),
            Cell(str(summary.truncated_attempts)),
            *common.extent(summary),
        ]  # fmt: skip

    notes = [
        common.about_intervals(report),
        "Δ(t2,last): accuracy of the last attempt minus that of the second, paired by problem. "
        "truncated: attempts that ran into the token limit "
        f"({common.truncated(shown)} in this table); they count as not right.",
        *report.cautions(),
    ]
    if not shown:
        notes.insert(0, "No method was given more than two attempts.")
    return Table(
        name="attempts",
        caption=f"Accuracy after each attempt: {common.what(report, shown)}",
        columns=[
            Column("Method"),
            *(Column(f"t{turn}") for turn in range(1, turns + 1)),
            Column("Δ(t2,last)"),
            Column("truncated", on_paper=False),
            *common.EXTENT,
        ],
        groups=common.grouped(report, shown, cells),
        notes=notes,
    )


def numbers(report: Report) -> pd.DataFrame:
    """One row per task, method and decoding: accuracy after each attempt, in percent.

    Only methods with more than two attempts; ``later`` is the last attempt's accuracy minus the
    second's.
    """
    shown = report.with_more_attempts()
    names = [*(f"t{turn}" for turn in range(1, most_turns(shown) + 1)), "later"]
    columns = [
        *common.IDENTITY,
        *(column for name in names for column in common.estimate_columns(name)),
        "truncated_attempts",
    ]
    rows = []
    for summary in shown:
        row = common.identity(summary)
        for turn, estimate in enumerate(summary.turns, start=1):
            row |= common.estimate(f"t{turn}", estimate)
        assert summary.later is not None
        row |= common.estimate("later", summary.later)
        rows.append(row | {"truncated_attempts": summary.truncated_attempts})
    return pd.DataFrame(rows, columns=columns)
