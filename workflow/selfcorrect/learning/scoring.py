"""What the policy and the reference say about the sampled tokens of a batch, in little memory.

Where the logits of a batch, [B, T, V], are too many they are never held: each model's head is
applied to some of the sampled positions at a time, and once more on the way back.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from selfcorrect.learning.policy_gradient import TokenStatistics, token_statistics
from selfcorrect.lm.batch import TraceBatch, continuation_states, recomputed_states
from selfcorrect.lm.head import LOGITS_AT_A_TIME, logits_of
from selfcorrect.lm.reference import Reference


def score(
    policy: Any,
    batch: TraceBatch,
    reference: Reference,
    temperature: float,
    kl: Literal["exact", "k3"],
    *,
    reference_states: Tensor | None = None,
    recompute: bool = False,
    logits_at_a_time: int = LOGITS_AT_A_TIME,
) -> TokenStatistics:
    """``token_statistics`` of a batch: [B, T], with gradient at sampled tokens.

    Args:
        policy: the model that is trained.
        batch: its traces.
        reference: the fixed model of the KL terms.
        temperature: the sampling temperature.
        kl: the estimator.
        reference_states: what the reference says of the batch, where that is known already.
        recompute: compute the policy's activations anew on the way back, which takes less memory.
        logits_at_a_time: bounds the memory.
    """
    read = recomputed_states if recompute else continuation_states
    states = read(policy, batch)  # [B, T, H]
    if reference_states is None:
        reference_states = reference.states(batch)

    def statistics(states: Tensor, reference_states: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        theirs = reference.logits(reference_states)
        of = token_statistics(logits_of(policy, states), theirs, tokens, temperature, kl)
        return of.logprobs, of.kl, of.entropy

    size = max(1, logits_at_a_time // policy.config.get_text_config().vocab_size)
    if batch.tokens.numel() <= size:
        return TokenStatistics(*statistics(states, reference_states, batch.tokens))
    sampled = batch.turns > 0
    chosen = (each[sampled].split(size) for each in (states, reference_states, batch.tokens))
    found = [
        checkpoint(statistics, *part, use_reentrant=False) for part in zip(*chosen, strict=True)
    ]
    return TokenStatistics(*(_at(sampled, torch.cat(each)) for each in zip(*found, strict=True)))


def _at(places: Tensor, values: Tensor) -> Tensor:
    """[B, T] with ``values`` [N] at ``places`` and 0 elsewhere."""
    return values.new_zeros(places.shape).masked_scatter(places, values)
