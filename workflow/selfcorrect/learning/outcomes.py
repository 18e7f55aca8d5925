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
    )


def batch_numbers(outcomes: Sequence[Outcome], rewards: np.ndarray, rl: RL) -> dict[str, Any]:
    """What a batch of traces shows: rewards per turn, copies, truncation."""
    numbers: dict[str, Any] = {}
    for turn in range(rl.turns):
        numbers[f"reward_t{turn + 1}"] = float(rewards[:, turn].mean())
    # The training reward by which `keep: best` chooses: what is paid for, without the bonus.
    paid = rewards[:, 1:] if rl.rewarded == "revisions" else rewards
    numbers["reward"] = float(paid.sum(1).mean())
    if rl.turns > 1:
        numbers["same"] = float(np.mean([outcome.same for outcome in outcomes]))
        numbers["changed"] = float(np.mean([outcome.changed for outcome in outcomes]))
    numbers["truncated"] = float(np.mean([outcome.truncated for outcome in outcomes]))
    numbers["tokens"] = sum(outcome.tokens for outcome in outcomes)
    return numbers
