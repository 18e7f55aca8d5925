"""The paper's metrics, problem by problem: what intervals and paired tests are made of.

Everything here is a share per problem, in 0..1. With several sampled traces a problem's value is
the mean over its traces, so that the unit of every later mean is the problem.
"""

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


def in_order(attempts: pd.DataFrame) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.intp]]:
    """The problems in sorted order, (n,), and the number of each attempt's row, (n, k, T).

    ``attempts`` has one row per attempt, with columns problem, sample and turn.

    Raises:
        ValueError: attempts are missing or doubled.
    """
    numbers, (problems, samples, turns) = zip(
        *(pd.factorize(attempts[key], sort=True) for key in ("problem", "sample", "turn")),
        strict=True,
    )
    shape = len(problems), len(samples), len(turns)
    places = np.ravel_multi_index(numbers, shape)
    if (np.bincount(places, minlength=np.prod(shape)) != 1).any():
        raise ValueError("attempts are missing or doubled")
    return problems.to_numpy(str), np.argsort(places).reshape(shape)


def outcomes(grades: pd.DataFrame, decoding: str) -> Outcomes:
    """The attempts of one decoding as arrays.

    ``grades`` has one row per attempt, with columns problem, decoding, sample, turn, text and
    verdict.

    Raises:
        ValueError: attempts are missing, doubled or fewer than two, or a verdict is unknown.
    """
    columns = ["problem", "sample", "turn", "text", "verdict"]
    rows = grades[columns][grades["decoding"] == decoding]
    unknown = set(rows["verdict"].unique()) - {verdict.value for verdict in Verdict}
    if unknown:
        raise ValueError(f"unknown verdicts {sorted(map(str, unknown))}")
    try:
        problems, order = in_order(rows)
    except ValueError as error:
        raise ValueError(f"{decoding}: {error}") from None
    if order.shape[2] < 2:
        raise ValueError(f"{decoding}: fewer than two attempts per problem")
    texts = pd.factorize(rows["text"])[0][order]
    return Outcomes(
        problems=problems,
        right=(rows["verdict"] == Verdict.RIGHT.value).to_numpy(bool)[order],
        truncated=(rows["verdict"] == Verdict.TRUNCATED.value).to_numpy(bool)[order],
        same=texts[..., 1] == texts[..., 0],
        verdicts={str(verdict): count for verdict, count in rows["verdict"].value_counts().items()},
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
