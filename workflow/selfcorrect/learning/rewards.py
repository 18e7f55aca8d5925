"""From verdicts to advantages: shaping, credit over turns, baselines. Plain numpy, one row a trace.

Shapes: B traces in a batch, n attempts each. All functions are pure.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def shaped_rewards(rewards: Floats, alpha: float, rewarded: Literal["revisions", "all"]) -> Floats:
    """The reward each attempt earns by itself, bonus included (§5.2: only on later attempts).

    Attempt 1 earns r_1; attempt i > 1 earns r_i + α(r_i − r_{i−1}). With ``rewarded="revisions"``
    (Stage I, Eq. 3) the first attempt earns nothing.

    Args:
        rewards: [B, n], the binary r(y_i, y*).
        alpha: α ≥ 0.
        rewarded: which attempts are paid.

    Returns:
        [B, n].
    """
    shaped = rewards.astype(np.float64)
    shaped[:, 1:] += alpha * (rewards[:, 1:] - rewards[:, :-1])
    if rewarded == "revisions":
        shaped[:, 0] = 0.0
    return shaped


def returns(shaped: Floats, gamma: float) -> Floats:
    """Credit of each attempt: G_i = Σ_{j ≥ i} γ^{j−i} shaped_j; γ = 0 keeps turns apart (§5.2).

    Args:
        shaped: [B, n], from ``shaped_rewards``.
        gamma: γ in [0, 1]. With γ = 1 and α > 1 a wrong first attempt would be paid for.

    Returns:
        [B, n].
    """
    credit = shaped.copy()
    for turn in range(shaped.shape[1] - 2, -1, -1):
        credit[:, turn] += gamma * credit[:, turn + 1]
    return credit


def advantages(
    credit: Floats,
    prompts: NDArray[np.int64],
    baseline: Literal["leave_one_out", "batch_mean", "none"],
) -> Floats:
    """Credit minus a baseline per turn that does not depend on the trace it is taken from.

    ``leave_one_out`` (Ahmadian et al., 2024): mean over the other traces of the same prompt.
    ``batch_mean``: mean over all other traces of the batch. Leaving the trace itself out keeps
    the gradient unbiased. Advantages are not divided by their deviation: with a binary reward
    that would weigh problems by their difficulty.

    Args:
        credit: [B, n], from ``returns``.
        prompts: [B], which prompt each trace belongs to.
        baseline: how the baseline is formed.

    Returns:
        [B, n].

    Raises:
        ValueError: a trace has no other trace to form its baseline from.
    """
    if baseline == "none":
        return credit.copy()
    groups = prompts if baseline == "leave_one_out" else np.zeros_like(prompts)
    _, index, size = np.unique(groups, return_inverse=True, return_counts=True)
    if size.min() < 2:
        raise ValueError(f"baseline {baseline}: every group of traces needs 2 or more")
    totals = np.zeros((len(size), credit.shape[1]))
    np.add.at(totals, index, credit)
    others = (totals[index] - credit) / (size[index] - 1)[:, None]
    return credit - others


def annealed(beta2: float, steps: float, step: int) -> float:
    """β2 at ``step`` where it falls to 0 within the first ``steps``, linearly; 0 steps: as it is.

    It makes one stage of the paper's two, which it names as future work: the first attempt is
    held at the base's while the second learns to revise it, and is let go bit by bit.
    """
    return beta2 if steps == 0 else beta2 * max(0.0, 1 - step / steps)


def balanced_beta2(
    beta2: float, start: float, objective: float, kl: float, rate: float, max_factor: float
) -> float:
    """§5.3's adaptive β2: move β2·KL of the first attempt towards the size of turn 2's objective.

    The paper gives the aim ("balance the magnitudes") and no formula; ours moves log β2 by at
    most ``rate`` a step and keeps it within ``max_factor`` of its start.

    Args:
        beta2: β2 of this step.
        start: β2 of the config, > 0.
        objective: mean |advantage| of the last attempt in this batch.
        kl: mean KL of the first attempt in this batch, in nats.
        rate: largest change of log β2; 0 keeps it fixed.
        max_factor: bound on β2/start and start/β2.

    Returns:
        β2 of the next step.
    """
    tiny = 1e-12  # a policy still equal to its reference has a KL of exactly zero
    kl = max(kl, 0.0)  # the exact KL of nearly equal policies can round to below zero
    gap = np.log(objective + tiny) - np.log(beta2 * kl + tiny)
    moved = beta2 * np.exp(rate * np.clip(gap, -1.0, 1.0))
    return float(np.clip(moved, start / max_factor, start * max_factor))
