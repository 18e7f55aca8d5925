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

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from selfcorrect.analysis.metrics import Shares
from selfcorrect.records import Verdict

Vote = tuple[str | None, bool]  # an answer, and whether it is right
UNREADABLE = {Verdict.UNPARSED.value, Verdict.TRUNCATED.value}


def vote(answer: str | None, verdict: str) -> Vote:
    """What a graded attempt votes for."""
    if pd.isna(answer) or verdict in UNREADABLE:
        return None, False
    return answer, verdict == Verdict.RIGHT.value


def chance(votes: Sequence[Vote]) -> float:
    """The chance that the answer with the most votes is right."""
    counts = Counter(answer for answer, _ in votes if answer is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    right = Counter(answer for answer, is_right in votes if is_right)
    # Of equal answers the verdicts are equal too, but for one that ran out of time on a busy day.
    leading = [right[answer] / count for answer, count in counts.items() if count == most]
    return sum(leading) / len(leading)


def accuracy(votes: Sequence[Vote], size: int) -> float:
    """The mean chance over votes of ``size``, of which the samples make as many as they can.

    Raises:
        ValueError: there are fewer samples than that.
    """
    if len(votes) < size:
        raise ValueError(f"a vote of {size} among {len(votes)} samples")
    starts = range(0, len(votes) - size + 1, size)
    return sum(chance(votes[start : start + size]) for start in starts) / len(starts)


def budgets(samples: int) -> list[int]:
    """2, 4, 8, ... up to all samples."""
    return [2**power for power in range(1, samples.bit_length()) if 2**power <= samples]


def curves(attempts: pd.DataFrame) -> dict[int, tuple[Shares, Shares]]:
    """By budget: accuracy of parallel and of corrected samples, each (n,), problems in order.

    ``attempts``: graded attempts at a temperature, a row each, with columns problem, sample, turn,
    answer and verdict.

    Raises:
        ValueError: attempts are missing or doubled.
    """
    rows = attempts.sort_values(["problem", "turn", "sample"])
    problems, samples = rows["problem"].nunique(), rows["sample"].nunique()
    if len(rows) != 2 * problems * samples or rows.duplicated(["problem", "turn", "sample"]).any():
        raise ValueError("attempts are missing or doubled")
    graded = zip(rows["answer"], rows["verdict"], strict=True)
    votes = [vote(answer, verdict) for answer, verdict in graded]
    of_each = [votes[start : start + samples] for start in range(0, len(votes), samples)]
    first, second = of_each[::2], of_each[1::2]
    return {
        budget: (
            np.array([accuracy(of, budget) for of in first]),
            np.array([accuracy(of, budget // 2) for of in second]),
        )
        for budget in budgets(samples)
    }
