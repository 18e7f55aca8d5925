"""A KV cache in preallocated slabs, from which finished rows can be retired.

`transformers`' dynamic cache copies everything at each token. Here each layer owns two slabs
[rows, heads, columns, head size] that are written in place. When rows finish, the others move on
in a smaller working copy; ``restore`` brings what they wrote back, and the finished rows are
there again for the next turn.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from selfcorrect.lm.fixed import FixedCache, FixedLayer, Slabs

SPARE_COLUMNS = 32  # room for a short attempt before slabs have to grow


class SlabLayer(DynamicLayer):
    """One layer's keys and values: the first ``length`` columns of its slabs are filled."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self.slabs: Slabs | None = None  # all rows
        self.working: Slabs | None = None  # the rows in play

    def get_seq_length(self) -> int:
        """Columns filled so far."""
        return self.length

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write [rows, heads, new columns, head size] and return all columns filled so far."""
        end = self.length + key_states.shape[2]
        if self.working is None:
            empty = (key_states[:, :, :0], value_states[:, :, :0])
            self.slabs = self.working = _with_room(empty, end)
            self.is_initialized = True
        elif end > self.working[0].shape[2]:
            grown = _with_room(self.working, 2 * end)
            if self.working is self.slabs:
                self.slabs = grown
            self.working = grown
        keys, values = self.working
        keys[:, :, self.length : end] = key_states
        values[:, :, self.length : end] = value_states
        self.length = end
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def repeat(self, copies: int) -> None:
        """Every row ``copies`` times, side by side."""
        assert self.slabs is not None
        keys, values = (slab.repeat_interleave(copies, dim=0) for slab in self.slabs)
        self.slabs = self.working = (keys, values)

    def select(self, rows: Tensor, since: int, playing: Tensor) -> None:
        """Go on with the slabs' ``rows`` alone; see ``SlabCache.select``."""
        self.restore(since, playing)
        assert self.slabs is not None
        keys, values = (slab.index_select(0, rows) for slab in self.slabs)
        self.working = (keys, values)

    def move(
        self, rows: Tensor, since: int, playing: Tensor, into: FixedLayer, columns: int
    ) -> None:
        """The same, elsewhere; see ``SlabCache.move``."""
        self.restore(since, playing)
        assert self.slabs is not None
        keys, values = (slab[:, :, : self.length].index_select(0, rows) for slab in self.slabs)
        self.working = into.hold(keys, values, columns)

    def restore(self, since: int, playing: Tensor) -> None:
        """Bring the columns from ``since`` on that the rows ``playing`` wrote back to the slabs."""
        assert self.slabs is not None and self.working is not None
        if self.working is not self.slabs:
            if self.length > self.slabs[0].shape[2]:
                self.slabs = _with_room(self.slabs, self.length)
            for slab, working in zip(self.slabs, self.working, strict=True):
                slab[playing, :, since : self.length] = working[:, :, since : self.length]
            self.working = self.slabs
            # Views of what there was before would keep it.
            self.keys, self.values = (slab[:, :, : self.length] for slab in self.slabs)


def _with_room(slabs: Slabs, columns: int) -> Slabs:
    """The same slabs with ``columns`` columns and some to spare.

    Zeros, not garbage: a masked column must hold finite numbers.
    """
    room = columns + SPARE_COLUMNS - slabs[0].shape[2]
    keys, values = (torch.nn.functional.pad(slab, (0, 0, 0, room)) for slab in slabs)
    return keys, values


class SlabCache(Cache):
    """The cache of a model with ``layers`` layers."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[SlabLayer() for _ in range(layers)])
        self._playing: Tensor | None = None
        self._since = 0

    def repeat(self, copies: int) -> None:
        """Every row ``copies`` times, side by side."""
        for layer in self.layers:
            layer.repeat(copies)

    def select(self, rows: Tensor) -> None:
        """Go on with these rows alone (indices into all rows)."""
        for layer in self.layers:
            layer.select(rows, self._since, self._playing_rows(rows))
        self._playing, self._since = rows, self.get_seq_length()

    def move(self, rows: Tensor, into: FixedCache, columns: int) -> None:
        """Go on with these rows in another cache of so many columns; ``advance`` tells of each."""
        for layer, place in zip(self.layers, into.layers, strict=True):
            layer.move(rows, self._since, self._playing_rows(rows), place, columns)
        self._playing, self._since = rows, self.get_seq_length()

    def advance(self) -> None:
        """One more column is filled."""
        for layer in self.layers:
            layer.length += 1

    def restore(self) -> None:
        """Go on with all rows."""
        if self._playing is not None:
            for layer in self.layers:
                layer.restore(self._since, self._playing)
            self._playing = None

    def _playing_rows(self, default: Tensor) -> Tensor:
        return default if self._playing is None else self._playing


def slab_cache(config: Any) -> SlabCache:
    """A cache for a model of this `transformers` config."""
    return SlabCache(int(config.get_text_config().num_hidden_layers))
