"""The multi-turn policy gradient (Eqs. 3 and 4) as pure functions: tensors in, loss, metrics out.

What is optimised, for n attempts y_1 ... y_n to a problem (x_i is all that the model has read
before attempt i, and A_i the advantage of ``rewards.py``):

    J(θ) = Σ_i E[ A_i log π(y_i | x_i) ]
           −  Σ_i c_i E[ Σ_t KL(π(· | x_i, y_i<t) ‖ π_ref(· | x_i, y_i<t)) ]

with c_1 = β1 + β2, c_i = β1 for i > 1. KL is summed over an attempt's tokens, along sampled
prefixes; its gradient does not flow into which prefixes are sampled, as usual for a KL term in
the loss. An expectation is the mean over traces: no division by length, which would pay for
long wrong attempts. Only completion tokens up to and with EOS count (``turns`` is 0 elsewhere).

Shapes: B traces, T token positions, V vocabulary entries, n attempts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenStatistics:
    """Per-token quantities of one shape; what stands outside completions is of no account."""

    logprobs: Tensor
    kl: Tensor
    entropy: Tensor  # in nats, detached


@dataclass(frozen=True)
class Totals:
    """The denominators of a whole batch's means, for a part of it that is gone through by itself.

    The losses, gradients and metrics of the parts then sum to those of the batch.
    """

    traces: int
    tokens: Tensor  # [n], of each attempt in all traces

    @classmethod
    def of(cls, turns: Sequence[Tensor], attempts: int) -> "Totals":
        """Those of the parts with ``turns`` [B, T] each."""
        tokens = [sum((of == i + 1).sum() for of in turns) for i in range(attempts)]
        return cls(sum(len(of) for of in turns), torch.stack([torch.as_tensor(n) for n in tokens]))


def token_statistics(
    logits: Tensor,
    reference_logits: Tensor,
    tokens: Tensor,
    temperature: float,
    kl: Literal["exact", "k3"],
) -> TokenStatistics:
    """Log-probs, KL to the reference and entropy of each token, at the sampling temperature.

    ``exact`` sums over the vocabulary. ``k3`` (Schulman, 2020) uses the sampled token alone:
    ρ − 1 − log ρ with ρ = π_ref/π. Its value is unbiased, but differentiating it as it stands
    gives the gradient of KL(π_ref ‖ π); the factor π/sg(π) adds the score-function term that
    makes the expected gradient that of KL(π ‖ π_ref).

    Args:
        logits: [..., V] of the policy, with gradient.
        reference_logits: [..., V] of the fixed reference.
        tokens: [...], the tokens that the logits predict.
        temperature: the sampling temperature; the policy is the tempered distribution.
        kl: the estimator.
    """
    precision = torch.promote_types(logits.dtype, torch.float32)  # bfloat16 is widened
    policy = (logits.to(precision) / temperature).log_softmax(-1)  # [..., V]
    reference = (reference_logits.to(precision) / temperature).log_softmax(-1)
    logprobs = policy.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)  # [...]
    if kl == "exact":
        divergence = (policy.exp() * (policy - reference)).sum(-1)
    else:
        log_ratio = reference.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logprobs
        estimate = torch.expm1(log_ratio) - log_ratio
        # The gradient of estimate · π/sg(π) is −log ρ ∇ log π, written so that it cannot overflow.
        divergence = estimate.detach() - log_ratio.detach() * (logprobs - logprobs.detach())
    frozen = policy.detach()
    return TokenStatistics(logprobs, divergence, -(frozen.exp() * frozen).sum(-1))


def policy_gradient_loss(
    statistics: TokenStatistics,
    turns: Tensor,
    advantages: Tensor,
    kl_coefficients: Sequence[float],
    behaviour_logprobs: Tensor | None = None,
    clip_ratio: float = 0.2,
    totals: Totals | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """The loss whose gradient is −∇J, and what to log.

    Args:
        statistics: of the policy being trained, from ``token_statistics``.
        turns: [B, T], i at the completion tokens of attempt i (1 ... n), 0 elsewhere: prompts,
            padding and attempts that were given to the model rather than sampled from it.
        advantages: [B, n]. Attempt i's tokens are credited with ``advantages[:, i − 1]`` alone.
        kl_coefficients: c_1 ... c_n.
        behaviour_logprobs: [B, T], log-probs under the policy that sampled, for a second or
            later update on the same batch (importance ratio, clipped as in PPO). None: on-policy.
        clip_ratio: half-width of that clipping.
        totals: of the whole batch, where this is a part of it.

    Returns:
        The scalar loss, and ``loss``, ``policy_loss``, ``kl_t{i}`` (nats per trace; a given
        attempt has none) and ``entropy_t{i}`` (nats per token).
    """
    attempts = advantages.shape[1]
    totals = totals or Totals.of([turns], attempts)
    on_turn = torch.stack([turns == i + 1 for i in range(attempts)])  # [n, B, T]
    zero = statistics.logprobs.new_zeros(())

    credit = torch.einsum("bn,nbt->bt", advantages, on_turn.to(advantages.dtype))
    sampled = turns > 0
    old = statistics.logprobs.detach() if behaviour_logprobs is None else behaviour_logprobs
    ratio = torch.exp(torch.where(sampled, statistics.logprobs - old, zero))
    surrogate = ratio * credit
    if behaviour_logprobs is not None:
        clipped = ratio.clamp(1 - clip_ratio, 1 + clip_ratio)
        surrogate = torch.minimum(surrogate, clipped * credit)
    policy_loss = -torch.where(sampled, surrogate, zero).sum() / totals.traces

    # [n], nats per trace
    kl = torch.where(on_turn, statistics.kl, zero).sum((1, 2)) / totals.traces
    coefficients = torch.tensor(list(kl_coefficients), dtype=kl.dtype, device=kl.device)
    loss = policy_loss + coefficients @ kl

    entropy = torch.where(on_turn, statistics.entropy, zero).sum((1, 2))
    entropy = entropy / totals.tokens.clamp(min=1)
    metrics = {"loss": loss.item(), "policy_loss": policy_loss.item()}
    for i in range(attempts):
        metrics[f"kl_t{i + 1}"] = kl[i].item()
        metrics[f"entropy_t{i + 1}"] = entropy[i].item()
    return loss, metrics


def sampling_gap(logprobs: Tensor, recorded: Tensor, turns: Tensor, totals: Totals) -> float:
    """How far the log-probs recorded in sampling are from the trained policy's own.

    It is rounding where the policy has not moved since, and more where the sampling engine
    computes another distribution, that of older weights for instance.

    Args:
        logprobs: [B, T], of the policy.
        recorded: [B, T], of the engine.
        turns: [B, T], 0 where nothing was sampled.
        totals: of the whole batch; what its parts give sums to the batch's.

    Returns:
        The mean absolute difference over sampled tokens, in nats.
    """
    distance = (logprobs.detach() - recorded).abs()
    return float(distance[turns > 0].sum() / totals.tokens.sum().clamp(min=1))
