"""The fixed model of the KL terms, wherever it is kept.

It is a model beside the policy, one in the main memory that computes there, or, where the policy
is the base with an adapter, the policy with that adapter off.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from selfcorrect.lm.batch import TraceBatch, continuation_states
from selfcorrect.lm.head import logits_of
from selfcorrect.lm.sharding import shard


class Reference:
    """What a fixed model says about a batch; results lie on the policy's device."""

    def __init__(self, model: Any | None, policy: Any, *, sharded: bool = False) -> None:
        """Set up.

        Args:
            model: None for the policy with its adapter off.
            policy: what is trained.
            sharded: keep the model in parts on the processes of a team, if it lies where they are.
        """
        self.model = policy if model is None else model.eval().requires_grad_(False)
        self._adapted = model is None
        self._device = policy.device
        self._head = self.model.get_output_embeddings()
        if self.model.device != self._device:  # states travel, logits are far too many
            self._head = copy.deepcopy(self._head).to(self._device)

        self._reader = _Reader(self.model)
        if sharded and self.model.device == self._device:
            self._reader = shard(self._reader, self.model, self.model.dtype, self._device.type)

    @torch.no_grad()
    def states(self, batch: TraceBatch) -> Tensor:
        """The hidden states before every continuation token: [B, T, H]."""
        with self._without_adapter():
            states: Tensor = self._reader(batch.to(self.model.device))
        return states.to(self._device)

    @torch.no_grad()
    def logits(self, states: Tensor) -> Tensor:
        """The logits [..., V] of hidden states [..., H]."""
        with self._without_adapter():
            return logits_of(self.model, states, self._head)

    def _without_adapter(self) -> AbstractContextManager[None]:
        off: AbstractContextManager[None] = (
            self.model.disable_adapter() if self._adapted else nullcontext()
        )
        return off


class _Reader(nn.Module):
    """The root of a sharded model: its call gathers what is in no layer, the head among it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: TraceBatch) -> Tensor:
        """The hidden states of a batch."""
        return continuation_states(self.model, batch)
