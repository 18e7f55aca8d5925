"""pass@k of sampled attempts."""

from collections.abc import Iterator

import pandas as pd

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.render import Cell, Column, Table
from selfcorrect.analysis.summary import Report, Summary
from selfcorrect.analysis.tables import common


def tables(evidence: Evidence) -> Iterator[tuple[Table, pd.DataFrame]]:
    """The one table."""
    yield table(evidence.report), numbers(evidence.report)


def table(report: Report) -> Table:
    """The chance that one of k sampled attempts is right, for first and for second attempts."""
    shown = report.sampled()
    ks = sorted({k for summary in shown for k in summary.pass_at})

    def cells(summary: Summary) -> list[Cell]:
        by_turn = [
            [
                common.cell(summary.pass_at[k][turn]) if k in summary.pass_at else Cell("")
                for k in ks
            ]
            for turn in range(2)
        ]
        return [
            Cell(summary.method.label),
            *by_turn[0], *by_turn[1],
            Cell(str(summary.samples)),
            *common.extent(summary),
        ]  # fmt: skip

    notes = [
        common.about_intervals(report),
        "pass@k: the chance that at least one of k attempts is right, by the unbiased estimator of "
        "Chen et al. (2021) from all samples of a problem; pass@1 is the accuracy at that "
        "temperature. A second attempt has its own first one before it.",
        *report.cautions(),
    ]
    if not shown:
        notes.insert(0, "No method was sampled (evaluation.samples of the config).")
    return Table(
        name="pass_at_k",
        caption=f"pass@k of first and second attempts: {common.what(report, shown, sampled=True)}",
        columns=[
            Column("Method"),
            *(Column(f"pass@{k}", turn) for turn in ("t1", "t2") for k in ks),
            Column("samples", on_paper=False),
            *common.EXTENT,
        ],
        groups=common.grouped(report, shown, cells),
        notes=notes,
    )


def numbers(report: Report) -> pd.DataFrame:
    """One row per task, method and k: pass@k of first and of second attempts, in percent.

    Of sampled traces, ``samples`` for each problem; both turns of a trace count as one sample.
    """
    columns = [
        *common.IDENTITY,
        "k",
        *common.estimate_columns("t1"),
        *common.estimate_columns("t2"),
    ]
    rows = [
        common.identity(summary)
        | {"k": k}
        | common.estimate("t1", first)
        | common.estimate("t2", second)
        for summary in report.sampled()
        for k, (first, second) in summary.pass_at.items()
    ]
    return pd.DataFrame(rows, columns=columns)
