"""What a training log says of a batch, from little that is known of each of its traces."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from selfcorrect.records import Trace
from selfcorrect.spec import RL


class Outcome(NamedTuple):
    """What is logged of a trace."""

    rewards: tuple[float, ...]
    same: bool  # the second attempt repeats the first
    truncated: bool
    tokens: int  # sampled


def outcome_of(trace: Trace, rewards: Sequence[float]) -> Outcome:
    """What is logged of a trace whose attempts earned ``rewards``."""
    attempts = trace.attempts
    return Outcome(
        tuple(rewards),
        same=len(attempts) > 1 and attempts[0].text == attempts[1].text,
        truncated=any(attempt.truncated for attempt in attempts),
        tokens=sum(len(attempt.tokens) for attempt in attempts if not attempt.given),
    )


def batch_numbers(outcomes: Sequence[Outcome], rewards: np.ndarray, rl: RL) -> dict[str, Any]:
    """What a batch of traces shows: rewards per turn, copies, truncation."""
    numbers: dict[str, Any] = {}
    for turn in range(rl.turns):
        numbers[f"reward_t{turn + 1}"] = float(rewards[:, turn].mean())
    # The training reward by which `keep: best` chooses: what is paid for, without the bonus.
    paid = rewards[:, -1:] if rl.rewarded == "last" else rewards
    numbers["reward"] = float(paid.sum(1).mean())
    if rl.turns > 1:
        numbers["same"] = float(np.mean([outcome.same for outcome in outcomes]))
    numbers["truncated"] = float(np.mean([outcome.truncated for outcome in outcomes]))
    numbers["tokens"] = sum(outcome.tokens for outcome in outcomes)
    return numbers
