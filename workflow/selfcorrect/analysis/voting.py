"""Majority votes over sampled traces: parallel samples, or half as many that are corrected once.

The budget is in samples: K traces of two attempts cost as much as 2K first attempts (the paper's
Fig. 1, right). A vote is among final answers, which are first attempts' in the one case and second
attempts' in the other.

- Answers that are the same in the grader's notation vote together, right and wrong ones alike: no
  vote knows the gold answer. So 1/2 and 0.5 are two, and of programs only equal ones are one.
- An attempt without a readable answer has no vote; if none has one, the vote is lost.
- Where several answers have the most votes, one of them is drawn: what is counted is the chance
  that it is right, so nothing hangs on an order.
- A problem's samples are split into as many votes of a size as they make, and these averaged.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfcorrect.analysis.metrics import Shares, in_order
from selfcorrect.records import Verdict

Answers = npt.NDArray[np.intp]  # equal numbers for equal answers, NONE where none can be read
Flags = npt.NDArray[np.bool_]
NONE = -1
UNREADABLE = (Verdict.UNPARSED.value, Verdict.TRUNCATED.value)


def votes(attempts: pd.DataFrame) -> tuple[Answers, Flags]:
    """What graded attempts, a row each, vote for, and whether it is right, each (rows,)."""
    lost = attempts["answer"].isna() | attempts["verdict"].isin(UNREADABLE)
    answers, _ = pd.factorize(attempts["answer"].where(~lost))  # numbers what is missing as NONE
    return answers, (attempts["verdict"] == Verdict.RIGHT.value).to_numpy(bool)


def chance(answers: Answers, right: Flags) -> Shares:
    """The chance that the answer with the most votes is right.

    Args:
        answers: of S samples that vote together, (..., S).
        right: of these, (..., S).

    Returns:
        (...).
    """
    readable = answers != NONE
    alike = (answers[..., :, None] == answers[..., None, :]) & readable[..., None, :]
    agreeing = alike.sum(axis=-1)
    leading = readable & (agreeing == agreeing.max(axis=-1, keepdims=True))
    # Leading answers have equally many samples each, so a share of these is a share of those. Of
    # equal answers the verdicts are equal too, but for one that ran out of time on a busy day.
    found: Shares = (leading & right).sum(axis=-1) / np.maximum(leading.sum(axis=-1), 1)
    return found


def accuracy(answers: Answers, right: Flags, size: int) -> Shares:
    """The mean chance over votes of ``size``, of which the samples make as many as they can.

    Args:
        answers: of S samples of each problem, (n, S).
        right: of these, (n, S).
        size: samples that vote together.

    Returns:
        (n,).

    Raises:
        ValueError: there are fewer samples than that.
    """
    problems, samples = answers.shape
    if samples < size:
        raise ValueError(f"a vote of {size} among {samples} samples")
    shape = problems, samples // size, size
    together = (of[:, : samples // size * size].reshape(shape) for of in (answers, right))
    mean: Shares = chance(*together).mean(axis=1)
    return mean


def budgets(samples: int) -> list[int]:
    """2, 4, 8, ... up to all samples."""
    return [2**power for power in range(1, samples.bit_length()) if 2**power <= samples]


def curves(attempts: pd.DataFrame) -> dict[int, tuple[Shares, Shares]]:
    """By budget: accuracy of parallel and of corrected samples, each (n,), problems in order.

    ``attempts``: graded attempts at a temperature, a row each, with columns problem, sample, turn,
    answer and verdict.

    Raises:
        ValueError: attempts are missing or doubled, or not two a sample.
    """
    _, order = in_order(attempts)
    if order.shape[2] != 2:
        raise ValueError(f"{order.shape[2]} attempts a sample instead of two")
    answers, right = votes(attempts)
    first, second = ((answers[order[..., turn]], right[order[..., turn]]) for turn in (0, 1))
    return {
        budget: (accuracy(*first, budget), accuracy(*second, budget // 2))
        for budget in budgets(order.shape[1])
    }
