"""What a training log says of a batch, from little that is known of each of its traces."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from selfcorrect.records import Grade, Trace
from selfcorrect.spec import RL


class Outcome(NamedTuple):
    """What is logged of a trace."""

    rewards: tuple[float, ...]
    same: bool  # the second attempt repeats the first
    changed: bool  # its answer is another, or one of them has none
    truncated: bool
    tokens: int  # sampled
    given: int = 0  # how many of its first attempts were given to the model, not sampled


def outcome_of(trace: Trace, grades: Sequence[Grade]) -> Outcome:
    """What is logged of a trace whose attempts got ``grades``."""
    attempts = trace.attempts
    same = len(attempts) > 1 and attempts[0].text == attempts[1].text
    answers = [grade.answer for grade in grades[:2]]
    return Outcome(
        tuple(grade.reward for grade in grades),
        same=same,
        changed=not same and (None in answers or answers[0] != answers[-1]),
        truncated=any(attempt.truncated for attempt in attempts),
        tokens=sum(len(attempt.tokens) for attempt in attempts if not attempt.given),
        given=sum(attempt.given for attempt in attempts),
    )


def batch_numbers(outcomes: Sequence[Outcome], rewards: np.ndarray, rl: RL) -> dict[str, Any]:
    """What a batch of traces shows: rewards per turn, copies, truncation.

    Rewards are of attempts that the model made itself; ``rewards`` is (traces, turns).
    """
    own = np.arange(rl.turns) >= np.array([[outcome.given] for outcome in outcomes])
    made = own.sum(axis=0)
    means = np.full(rl.turns, np.nan)  # of a turn in which all attempts were given
    np.divide((rewards * own).sum(axis=0), made, out=means, where=made > 0)
    numbers: dict[str, Any] = {}
    for turn, mean in enumerate(means, start=1):
        numbers[f"reward_t{turn}"] = float(mean) if np.isfinite(mean) else None
    # The training reward by which `keep: best` chooses: what is paid for, without the bonus.
    paid = means[1:] if rl.rewarded == "revisions" else means
    numbers["reward"] = float(np.nansum(paid))
    if rl.turns > 1:
        numbers["same"] = float(np.mean([outcome.same for outcome in outcomes]))
        numbers["changed"] = float(np.mean([outcome.changed for outcome in outcomes]))
    numbers["truncated"] = float(np.mean([outcome.truncated for outcome in outcomes]))
    numbers["tokens"] = sum(outcome.tokens for outcome in outcomes)
    return numbers
