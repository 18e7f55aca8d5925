"""What corrections do, by kind of mistake, on tasks that can tell mistakes apart."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.drawing import (
    Drawing,
    lacking,
    say_missing,
    sentence,
    wrapped,
)
from selfcorrect.analysis.flow import known, mistakes

SHOWN = ("base", "single_turn_rl", "multi_turn_rl_sum", "score")
PER_ROW = 2  # panels
LEAST = 0.0005  # a share that is shown


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """One figure a task, a panel a method."""
    report = evidence.report
    for task in report.spec.tasks:
        methods = [row for row in report.spec.methods if row.name in SHOWN] or report.spec.methods
        tables = {row.name: table for row in methods
                  if (table := transitions(evidence, task, row.name)) is not None}  # fmt: skip
        if not tables and any(place.task == task for place in evidence.grades):
            continue  # a task that cannot tell mistakes apart
        order = common_order(tables)
        figure, cells = wrapped(len(methods), PER_ROW, 3.1, 2.5, sharex=True, sharey=True)
        for at, (axes, row) in enumerate(zip(cells, methods, strict=True)):
            axes.set_title(row.label, loc="left")
            axes.tick_params(labelbottom=at + PER_ROW >= len(methods))  # nothing is below it
            if row.name in tables:
                _matrix(axes, tables[row.name].reindex(index=order, columns=order, fill_value=0))
            else:
                say_missing(axes, "no grades")
        figure.supxlabel("Second attempt", fontsize=8)
        figure.supylabel("First attempt", fontsize=8)
        caption = (
            f"What revising by some of the methods does to each kind of mistake on "
            f"{report.on(tasks=[task])}: percent of problems by what the first attempt (rows) and "
            f"the second (columns) is, greedy decoding, {report.seeds_in_words()}. The first "
            "column is corrected, the first row broken; on the diagonal the kind is the same, the "
            "attempt may be another. Cells below 0.05 % are empty, and so are kinds left out that "
            "no method has. Unreadable: no answer in the testbed's form; other: a mistake that "
            "none of its solvers makes."
        )
        missing = lacking(report, evidence.grades, {task: [row.name for row in methods]})
        yield Drawing(f"mistakes_{task}", f"Kinds of mistakes on {task}", "beyond the paper",
                      figure, caption + sentence(missing))  # fmt: skip


def transitions(evidence: Evidence, task: str, method: str) -> pd.DataFrame | None:
    """Shares of problems by kind at the first and at the second attempt, mean of seeds."""
    found = []
    for grades in evidence.seeds(evidence.grades, task, method):
        rows = grades.attempts[grades.attempts["decoding"] == "greedy"]
        if not known(rows):
            return None
        found.append(mistakes(rows))
    if not found:
        return None
    kinds = list(dict.fromkeys(kind for table in found for kind in table.index))
    tables = [table.reindex(index=kinds, columns=kinds, fill_value=0.0) for table in found]
    return pd.DataFrame(np.mean(tables, axis=0), index=kinds, columns=kinds)


def common_order(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Kinds in the order in which any of the tables has them, right first; no empty ones."""
    often: dict[str, float] = {}
    for table in tables.values():
        for kind in table.index:
            share = float(table.loc[kind].sum() + table[kind].sum())
            if max(table.loc[kind].max(), table[kind].max()) >= LEAST:
                often[kind] = max(often.get(kind, 0.0), share)
    return sorted(often, key=lambda kind: (kind != "right", -often[kind]))


def _matrix(axes: Axes, table: pd.DataFrame) -> None:
    shares = 100 * table.to_numpy()
    axes.imshow(shares**0.5, cmap="Greys", vmin=0, vmax=10, aspect="auto")
    for row, values in enumerate(shares):
        for column, value in enumerate(values):
            if value >= 100 * LEAST:
                axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=6,
                          color="#ffffff" if value > 36 else "#000000")  # fmt: skip
    kinds = list(table.index)
    axes.set_xticks(range(len(kinds)), kinds, rotation=45, ha="right",
                    rotation_mode="anchor", fontsize=7)  # fmt: skip
    axes.set_yticks(range(len(kinds)), kinds, fontsize=7)
    axes.tick_params(length=0)
