"""A KV cache whose shapes and addresses do not change from one token step to the next.

A compiled step, and a CUDA graph above all, is made for tensors of given shapes at given places.
So all columns that an attempt may need are there from its start, the column to be written is told
by a tensor, and batches of any shape lie at the start of the same memory, one after another.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

Slabs = tuple[Tensor, Tensor]  # keys and values, each [rows, heads, columns, head size]

COLUMN_STEP = 128  # fixed caches have a multiple of it: attempts of many lengths share a shape


def rounded_up(columns: int) -> int:
    """The columns of the fixed cache in which a conversation of so many is written."""
    return -(-columns // COLUMN_STEP) * COLUMN_STEP


class FixedLayer(CacheLayerMixin):
    """One layer's keys and values, of all columns; those that are not filled are to be masked."""

    is_compileable = True
    is_sliding = False

    def __init__(self, position: Tensor) -> None:
        """``position``: [1], the column that the next step writes; all layers share it."""
        super().__init__()
        self.position = position
        self._memory: list[Tensor] = []  # of the keys, of the values; flat

    def hold(self, keys: Tensor, values: Tensor, columns: int) -> Slabs:
        """Take a copy of a batch's keys and values; where it lies, with room for ``columns``."""
        given = (keys, values)
        needs = [each[:, :, :1].numel() * columns for each in given]
        if not self._memory or any(
            flat.numel() < need for flat, need in zip(self._memory, needs, strict=True)
        ):
            self._memory, self.keys, self.values = [], None, None  # freed before more is taken
            self._memory = [each.new_zeros(need) for each, need in zip(given, needs, strict=True)]
        self.keys, self.values = (
            _placed(flat, each, columns) for flat, each in zip(self._memory, given, strict=True)
        )
        self.is_initialized = True
        return self.keys, self.values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> Slabs:
        """Write [rows, heads, 1, head size] at the position and return all columns."""
        assert self.keys is not None and self.values is not None
        self.keys.index_copy_(2, self.position, key_states)
        self.values.index_copy_(2, self.position, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        """Columns to attend to, and the first of them."""
        return self.get_max_length(), 0

    def get_seq_length(self) -> Any:
        """Columns filled before the next step: a tensor, which may change without recompiling."""
        return self.position[0]

    def get_max_length(self) -> int:
        """Columns that there are."""
        assert self.keys is not None
        return self.keys.shape[2]

    get_max_cache_shape = get_max_length  # its name in earlier versions of `transformers`

    def lazy_initialization(self, *args: object, **kwargs: object) -> None:
        """Nothing: ``hold`` comes first."""


def _placed(flat: Tensor, filled: Tensor, columns: int) -> Tensor:
    """A copy of ``filled`` at the start of ``flat``, and zeros: what is masked must be finite."""
    rows, heads, length, size = filled.shape
    room = flat[: rows * heads * columns * size].view(rows, heads, columns, size)
    room[:, :, :length] = filled
    room[:, :, length:] = 0
    torch._dynamo.mark_static_address(room)
    return room


class FixedCache(Cache):
    """The cache of a model with ``layers`` layers, on a device."""

    def __init__(self, layers: int, device: torch.device) -> None:
        self.position = torch.zeros(1, dtype=torch.long, device=device)
        torch._dynamo.mark_static_address(self.position)
        super().__init__(layers=[FixedLayer(self.position) for _ in range(layers)])
