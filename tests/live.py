"""The bytes of tensors that are alive, counted operation by operation, and their peak."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Within it, ``peak`` is the most that tensors made since its start took at a time.

    Afterwards ``now`` is what is left of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors([args, kwargs]):
            if (at := tensor.untyped_storage()._cdata) not in self._known:
                self._watch(tensor, at, counted=False)  # it was there before
        made = func(*args, **(kwargs or {}))
        for tensor in _tensors(made):
            if (at := tensor.untyped_storage()._cdata) not in self._known:
                self._watch(tensor, at, counted=True)
        return made

    def _watch(self, tensor: torch.Tensor, at: int, counted: bool) -> None:
        size = tensor.untyped_storage().nbytes() if counted else 0
        self._known.add(at)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(tensor.untyped_storage(), self._forget, at, size)

    def _forget(self, at: int, size: int) -> None:
        self._known.discard(at)
        self.now -= size


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
