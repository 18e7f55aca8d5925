"""Bytes of the slabs that sampling keeps keys and values in (``lm.slab``, ``lm.fixed``)."""

from itertools import repeat

from selfcorrect.lm.fixed import rounded_up
from selfcorrect.lm.memory.shape import Shape
from selfcorrect.lm.slab import SPARE_COLUMNS
from selfcorrect.lm.torch_engine import RETIRE_AT


def conversation_columns(prompt: int, attempts: int, new_tokens: int, bridge: int) -> int:
    """Columns at the end of ``attempts``, each as long as may be; the last token is not read."""
    return prompt + attempts * new_tokens + (attempts - 1) * bridge - 1


def slab_columns(
    prompt: int, attempts: int, new_tokens: int, bridge: int, *, fixed: bool = False
) -> int:
    """Columns of the slabs by then: twice what is needed, and some to spare, when they grow.

    With ``fixed`` an attempt is written in another cache and comes back at once, as it is.
    """
    length, columns = prompt, prompt + SPARE_COLUMNS
    for attempt in range(attempts):
        if attempt:  # a bridge is read with the token before it, the last of an attempt
            length += bridge + 1
            if length > columns:
                columns = 2 * length + SPARE_COLUMNS
        for block in (new_tokens - 1,) if fixed else repeat(1, new_tokens - 1):
            length += block
            if length > columns:
                columns = length + SPARE_COLUMNS if fixed else 2 * length + SPARE_COLUMNS
    return columns


def slab_bytes(shape: Shape, size: int, rows: int, columns: int) -> int:
    """Bytes of one set of slabs, of numbers of ``size`` bytes."""
    return 2 * shape.layers * shape.kv_heads * shape.head_size * size * rows * columns


def cache_bytes(
    shape: Shape, size: int, rows: int, columns: int, *, reread: bool, fixed: bool = False
) -> int:
    """The most that a session's slabs take.

    Rows that go on after others have finished do so in a copy, but where they step in a ``fixed``
    cache beside. Where a conversation is ``reread`` from its start, the slabs of the session
    before are still there.
    """
    slabs = slab_bytes(shape, size, rows, columns)
    if fixed or reread:
        return slabs * (1 + reread)
    return slabs + int((1 - RETIRE_AT) * slabs)


def fixed_cache_bytes(shape: Shape, size: int, rows: int, columns: int) -> int:
    """Bytes of the cache in which compiled token steps write; it stays with the engine."""
    return slab_bytes(shape, size, rows, rounded_up(columns))
