"""Adam with the gradient's norm clipped; weights of low precision have float32 copies.

A step of 1e-6 is lost in a bfloat16 weight, which holds eight bits. So the model that is read is
in bfloat16, Adam moves a float32 copy of each weight, and the weight is that copy, rounded.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from selfcorrect.lm.sharding import gathered, part_of, whole


class Optimiser:
    """Adam at a constant learning rate on the parameters that require a gradient."""

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float) -> None:
        self._weights = [weight for weight in parameters if weight.requires_grad]
        # A float32 weight is its own copy.
        self.copies = [
            weight if weight.dtype in (torch.float32, torch.float64) else weight.detach().float()
            for weight in self._weights
        ]
        self._adam = torch.optim.Adam(self.copies, lr=learning_rate, fused=True)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for copy in self.copies:
            copy.grad = None

    def accumulate(self) -> None:
        """Add what ``backward`` left at the weights: a sum of parts must not be rounded either."""
        for weight, copy in self._rounded():
            if weight.grad is not None:
                gradient = weight.grad.float()
                copy.grad = gradient if copy.grad is None else copy.grad.add_(gradient)
                weight.grad = None

    def gradients(self) -> list[Tensor]:
        """Those of all weights, in one order on every process; zeros where there are none."""
        for copy in self.copies:
            if copy.grad is None:
                copy.grad = torch.zeros_like(copy)
        return [copy.grad for copy in self.copies if copy.grad is not None]

    def step(self, max_norm: float) -> float:
        """Clip and move; returns the gradient's norm. Where that is not finite nothing moves."""
        norm = whole(torch.nn.utils.clip_grad_norm_(self.copies, max_norm))
        if torch.isfinite(norm):
            self._adam.step()
            with torch.no_grad():
                self._round()
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        """All that a run goes on from, the weights in full precision among it.

        Of sharded weights whole tensors: whether weights are rounded or in parts is not told by it,
        so that what one kind of job has begun, the other can end.
        """
        adam = self._adam.state_dict()
        state = {
            number: {name: gathered(value) for name, value in of.items()}
            for number, of in adam["state"].items()
        }
        copies = [gathered(copy.detach()) for copy in self.copies]
        return {"adam": {**adam, "state": state}, "copies": copies}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state_dict``: moments, and the weights that are moved."""
        adam = state["adam"]
        parts = {
            number: {
                name: part_of(value, copy) if value.shape == copy.shape else value
                for name, value in adam["state"][number].items()
            }
            for number, copy in enumerate(self.copies)
            if number in adam["state"]
        }
        self._adam.load_state_dict({**adam, "state": parts})
        with torch.no_grad():
            for copy, saved in zip(self.copies, state["copies"], strict=True):
                copy.copy_(part_of(saved, copy))
            self._round()

    def _round(self) -> None:
        for weight, copy in self._rounded():
            weight.copy_(copy)

    def _rounded(self) -> Iterable[tuple[Tensor, Tensor]]:
        pairs = zip(self._weights, self.copies, strict=True)
        return [(weight, copy) for weight, copy in pairs if weight is not copy]
