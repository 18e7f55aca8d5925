"""The paper's metrics, problem by problem: what intervals and paired tests are made of.

Everything here is a share per problem, in 0..1. With several sampled traces a problem's value is
the mean over its traces, so that the unit of every later mean is the problem.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfcorrect.analysis.pass_at_k import pass_at_k
from selfcorrect.records import Verdict

Shares = npt.NDArray[np.float64]

PAPER_METRICS = ("t1", "t2", "delta", "i_to_c", "c_to_i")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Graded traces of one model: n problems in sorted order, k traces each, T attempts each.

    ``problems``: ids, (n,). ``right``, ``truncated``: booleans, (n, k, T); a verdict other than
    right is not right, whatever its reason. ``same``: y2 is y1 letter by letter, (n, k).
    ``verdicts``: how many attempts of all turns got each.
    """

    problems: npt.NDArray[np.str_]
    right: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    same: npt.NDArray[np.bool_]
    verdicts: Mapping[str, int]


def outcomes(grades: pd.DataFrame, decoding: str) -> Outcomes:
    """The attempts of one decoding as arrays.

    ``grades`` has one row per attempt, with columns problem, decoding, sample, turn, text and
    verdict.

    Raises:
        ValueError: attempts are missing, doubled or fewer than two, or a verdict is unknown.
    """
    rows = grades[grades["decoding"] == decoding].sort_values(["problem", "sample", "turn"])
    unknown = set(rows["verdict"]) - {verdict.value for verdict in Verdict}
    if unknown:
        raise ValueError(f"unknown verdicts {sorted(map(str, unknown))}")
    problems, samples, turns = (
        np.unique(rows[key].to_numpy(kind)) for key, kind in
        (("problem", str), ("sample", int), ("turn", int))
    )  # fmt: skip
    shape = len(problems), len(samples), len(turns)
    if len(rows) != np.prod(shape) or rows.duplicated(["problem", "sample", "turn"]).any():
        raise ValueError(f"{decoding}: attempts are missing or doubled")
    if len(turns) < 2:
        raise ValueError(f"{decoding}: fewer than two attempts per problem")
    verdicts = rows["verdict"].to_numpy(str).reshape(shape)
    texts = rows["text"].to_numpy(object).reshape(shape)
    return Outcomes(
        problems=problems,
        right=verdicts == Verdict.RIGHT.value,
        truncated=verdicts == Verdict.TRUNCATED.value,
        same=(texts[..., 1] == texts[..., 0]).astype(bool),
        verdicts=Counter(verdicts.ravel().tolist()),
    )


def per_problem(of: Outcomes) -> dict[str, Shares]:
    """Every metric of the first two attempts as shares per problem, each (n,).

    ``t1``, ``t2``: accuracy. ``i_to_c``, ``c_to_i``: wrong then right, right then wrong.
    ``same``: y2 = y1. ``truncated``: an attempt of the two ran into the token limit.
    Δ(t1,t2) is mean(i_to_c) - mean(c_to_i), which is mean(t2) - mean(t1) (§3 of the paper).
    """
    first, second = of.right[..., 0], of.right[..., 1]
    traces = {
        "t1": first,
        "t2": second,
        "i_to_c": ~first & second,
        "c_to_i": first & ~second,
        "same": of.same,
        "truncated": of.truncated[..., :2].any(axis=-1),
    }
    return {name: values.mean(axis=1) for name, values in traces.items()}


def accuracy_by_turn(of: Outcomes) -> Shares:
    """Accuracy of every attempt as shares per problem, (n, T)."""
    accuracy: Shares = of.right.mean(axis=1)
    return accuracy


def chances_of_one_right(of: Outcomes) -> dict[int, Shares]:
    """pass@k of the first and of the second attempts of a problem's traces, by k, each (n, 2).

    k runs through the powers of two up to the number of traces, and that number itself.
    """
    traces = of.right.shape[1]
    right = of.right[..., :2].sum(axis=1)
    ks = [2**power for power in range(traces.bit_length()) if 2**power < traces]
    return {k: pass_at_k(traces, right, k) for k in (*ks, traces)}
