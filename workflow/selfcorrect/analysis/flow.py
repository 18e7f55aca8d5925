"""The flow of problems between right and wrong over attempts, and between kinds of mistakes."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from selfcorrect.analysis.metrics import Outcomes, Shares

RIGHT = "right"  # what a mistake that is none is called in figures


class Flow(NamedTuple):
    """Shares of all problems at each attempt from the second on, each (T - 1,); they sum to 1."""

    kept: Shares  # right, and right before
    gained: Shares  # right, and wrong before
    lost: Shares  # wrong, and right before
    open: Shares  # wrong, and wrong before


def flow(of: Outcomes) -> Flow:
    """Where problems are after each attempt, and where they come from."""
    before, now = of.right[..., :-1], of.right[..., 1:]
    parts = (before & now, ~before & now, before & ~now, ~before & ~now)
    return Flow(*(part.mean(axis=(0, 1)) for part in parts))


def mistakes(attempts: pd.DataFrame) -> pd.DataFrame:
    """Share of traces by the kind of mistake in the first attempt (rows) and in the second.

    ``attempts``: of one decoding, with columns problem, sample, turn and error. Kinds are in order
    of how often an attempt of the two has them, right ones first.
    """
    rows = attempts[attempts["turn"] <= 2].replace({"error": {"none": RIGHT}})
    pairs = rows.pivot(index=["problem", "sample"], columns="turn", values="error")
    table = pd.crosstab(pairs[1], pairs[2], normalize="all")
    often = table.sum(axis=1).add(table.sum(axis=0), fill_value=0).sort_values(ascending=False)
    order = [RIGHT, *(kind for kind in often.index if kind != RIGHT)]
    made: pd.DataFrame = table.reindex(index=order, columns=order, fill_value=0.0)
    return made


def known(attempts: pd.DataFrame) -> bool:
    """Whether the task can tell mistakes apart."""
    return "error" in attempts and bool(np.all(attempts["error"].notna()))
