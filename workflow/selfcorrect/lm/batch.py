"""Traces as tensors, and a model's hidden states before every token of them.

A problem's traces share its prompt, so the prompt is read once and its keys and values serve all
of them (gradients flow back through them). What follows the prompt is the *continuation*:
attempt 1, bridge, attempt 2, ... Prompts are padded on the left, continuations on the right. Where
activations are to be recomputed on the way back, which a cache does not allow, every conversation
is read whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache
from transformers.modeling_layers import GradientCheckpointingLayer

from selfcorrect.lm.head import states_of
from selfcorrect.records import Trace


@dataclass(frozen=True)
class TraceBatch:
    """B traces over P prompts; Tp prompt columns, T continuation columns."""

    prompts: Tensor  # [P, Tp]
    prompt_mask: Tensor  # [P, Tp], 1 at tokens
    prompt_of: Tensor  # [B], each trace's row of ``prompts``
    tokens: Tensor  # [B, T]
    mask: Tensor  # [B, T], 1 at tokens
    turns: Tensor  # [B, T], i at the sampled tokens of attempt i, 0 elsewhere
    logprobs: Tensor  # [B, T], as recorded when sampled, 0 elsewhere

    def to(self, device: torch.device) -> "TraceBatch":
        """The same on a device."""
        return TraceBatch(
            **{each.name: getattr(self, each.name).to(device) for each in fields(self)}
        )


def collate(traces: Sequence[Trace], pad: int, device: torch.device | str = "cpu") -> TraceBatch:
    """Tensors of traces; traces whose first prompts are equal share a row of ``prompts``."""
    rows: dict[tuple[int, ...], int] = {}
    prompt_of, tokens, turns, logprobs = [], [], [], []
    for trace in traces:
        prompt = tuple(trace.attempts[0].prompt)
        prompt_of.append(rows.setdefault(prompt, len(rows)))
        row: list[int] = []
        turn: list[int] = []
        probs: list[float] = []
        for number, attempt in enumerate(trace.attempts, start=1):
            read = [] if number == 1 else attempt.prompt
            row += [*read, *attempt.tokens]
            turn += [0] * len(read) + [0 if attempt.given else number] * len(attempt.tokens)
            given = [0.0] * len(attempt.tokens)
            probs += [0.0] * len(read) + (given if attempt.given else list(attempt.logprobs))
        tokens.append(row)
        turns.append(turn)
        logprobs.append(probs)

    width, prompt_width = max(map(len, tokens)), max(map(len, rows))
    left = [[pad] * (prompt_width - len(prompt)) + list(prompt) for prompt in rows]
    left_mask = [[0] * (prompt_width - len(prompt)) + [1] * len(prompt) for prompt in rows]
    right = [row + [pad] * (width - len(row)) for row in tokens]
    right_mask = [[1] * len(row) + [0] * (width - len(row)) for row in tokens]
    return TraceBatch(
        prompts=torch.tensor(left, device=device),
        prompt_mask=torch.tensor(left_mask, device=device),
        prompt_of=torch.tensor(prompt_of, device=device),
        tokens=torch.tensor(right, device=device),
        mask=torch.tensor(right_mask, device=device),
        turns=torch.tensor([row + [0] * (width - len(row)) for row in turns], device=device),
        logprobs=torch.tensor(
            [row + [0.0] * (width - len(row)) for row in logprobs], device=device
        ),
    )


def continuation_states(model: Any, batch: TraceBatch) -> Tensor:
    """The hidden states whose logits predict each continuation token: [B, T, H].

    Exactly those of reading every conversation whole, position by position; the last column
    is not read, since nothing follows it, unless it is the only one: the layers of a sharded model
    must be called equally often on every process, or they wait for each other for ever.
    """
    cache = DynamicCache(config=model.config)
    prompt_positions = (batch.prompt_mask.cumsum(1) - 1).clamp(min=0)
    first = states_of(
        model,
        input_ids=batch.prompts,
        attention_mask=batch.prompt_mask,
        position_ids=prompt_positions,
        past_key_values=cache,
        use_cache=True,
    )[batch.prompt_of, -1:]  # [B, 1, H]
    width = batch.tokens.shape[1]
    read = max(1, width - 1)
    cache.batch_select_indices(batch.prompt_of)
    mask = torch.cat([batch.prompt_mask[batch.prompt_of], batch.mask[:, :read]], 1)
    positions = (mask.cumsum(1) - 1)[:, batch.prompts.shape[1] :]
    rest = states_of(
        model,
        input_ids=batch.tokens[:, :read],
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )  # [B, max(1, T − 1), H]
    return torch.cat([first, rest], 1)[:, :width]


def recomputed_states(model: Any, batch: TraceBatch) -> Tensor:
    """``continuation_states``, but layers keep only what they read and compute anew for gradients.

    The model stays in evaluation mode, so no dropout comes in.
    """
    width = batch.prompts.shape[1]
    tokens = torch.cat([batch.prompts[batch.prompt_of], batch.tokens[:, :-1]], 1)
    mask = torch.cat([batch.prompt_mask[batch.prompt_of], batch.mask[:, :-1]], 1)
    with _recomputing(model):
        states = states_of(
            model,
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            use_cache=False,
        )
    return states[:, width - 1 :]


@contextmanager
def _recomputing(model: Any) -> Iterator[None]:
    layers = [each for each in model.modules() if isinstance(each, GradientCheckpointingLayer)]
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
