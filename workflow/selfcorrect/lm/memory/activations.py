"""What a model's forward pass keeps for the way back, and what it takes in passing, in bytes.

A layer of the Llama family keeps, of each position that it computes, what its norms read and make,
what its linear parts read, queries and their attention's output, and four times the features of
its feed-forward part; and of each column that a row attends to, a key and a value of every head.
"""

from dataclasses import dataclass
from typing import NamedTuple

from selfcorrect.lm.head import LOGITS_AT_A_TIME
from selfcorrect.lm.memory.shape import Shape

FLOAT32 = 4  # bytes


class Reading(NamedTuple):
    """A forward pass: each of ``rows`` computes ``new`` positions that attend to ``columns``."""

    rows: int
    new: int
    columns: int

    @property
    def tokens(self) -> int:
        """Positions computed."""
        return self.rows * self.new

    @property
    def scores(self) -> int:
        """Pairs of a position and a column, of one head."""
        return self.tokens * self.columns


@dataclass(frozen=True)
class Precision:
    """How a model computes."""

    size: int  # bytes of a number
    stream: int  # bytes of a number in the residual stream; more than ``size`` under autocast
    attention: str  # its implementation: sdpa, eager or flash_attention_2


def kept_by_layer(shape: Shape, precision: Precision, read: Reading) -> int:
    """Bytes that a layer keeps of a forward pass for the way back."""
    size, inner = precision.size, shape.heads * shape.head_size
    # Adapters are in float32, and read copies in it of what the layers that they are on read.
    copied = shape.adapted > 0 and size < FLOAT32
    of_token = (
        shape.norms * shape.hidden * _norm(shape, precision)
        + 2 * inner * size  # queries, and what the output projection reads
        + (3 if copied else 4) * shape.intermediate * size
        # What the projections of attention and of the feed-forward part read.
        + (shape.adapted * FLOAT32 if copied else 2 * shape.hidden * size)
    )
    # Keys and values are repeated for every head where a mask is given.
    kv_heads = shape.kv_heads if precision.attention == "flash_attention_2" else shape.heads
    keys = read.rows * read.columns * 2 * kv_heads * shape.head_size * size
    return read.tokens * of_token + keys + _kept_of_scores(shape, precision, read)


def _norm(shape: Shape, precision: Precision) -> int:
    """Bytes that a norm keeps of a feature: as read, and as its weight, if trained, reads it."""
    if shape.adapted:
        return FLOAT32
    return FLOAT32 + (FLOAT32 if shape.wide_norms else precision.stream)


def _kept_of_scores(shape: Shape, precision: Precision, read: Reading) -> int:
    if precision.attention == "eager":  # the softmax in float32, and in the model's precision
        each = FLOAT32 + (precision.size if precision.size < FLOAT32 else 0)
        each += precision.size if shape.softcap else 0
        return read.scores * shape.heads * each
    if precision.attention == "sdpa":  # the mask as numbers, and a normaliser of each head
        return read.scores * precision.size + read.tokens * shape.heads * FLOAT32
    return read.tokens * shape.heads * FLOAT32


def kept(
    shape: Shape, precision: Precision, reads: list[Reading], *, recompute: bool = False
) -> int:
    """Bytes at the peak of forward and backward passes over ``reads``, gradients excluded.

    With ``recompute`` layers keep what they read, and one at a time has all that it would keep.
    """
    layers = [kept_by_layer(shape, precision, read) for read in reads]
    tokens = sum(read.tokens for read in reads)
    norm = _norm(shape, precision)
    last = tokens * shape.hidden * (norm + precision.stream)  # the final norm, and what it makes
    masks = sum(read.scores for read in reads)  # a byte each
    if recompute:
        inputs = shape.layers * tokens * shape.hidden * precision.stream
        return inputs + max(layers) + last + masks
    backward = max(_backward(shape, precision, read) for read in reads)
    return shape.layers * sum(layers) + last + masks + backward


def _backward(shape: Shape, precision: Precision, read: Reading) -> int:
    """Bytes of gradients in passing, while the last layer still has all that it kept."""
    scores = 2 * read.scores * shape.heads if precision.attention == "eager" else 0
    return read.tokens * 2 * (shape.intermediate + shape.hidden) * precision.size + scores


def passing(shape: Shape, precision: Precision, read: Reading) -> int:
    """Bytes that a layer takes in a forward pass that keeps nothing: half of what it would keep.

    More where attention scores are computed in the open: those of every head, three times.
    """
    size = precision.size
    if precision.attention == "eager":
        widened = size if size < FLOAT32 else 0
        scores = read.scores * shape.heads * (2 * FLOAT32 + widened)
        without = kept_by_layer(shape, precision, read) - _kept_of_scores(shape, precision, read)
        return int(0.6 * without) + scores
    return int(0.6 * kept_by_layer(shape, precision, read))


def head(shape: Shape, size: int, positions: int) -> int:
    """Bytes that the heads of policy and reference take where they are applied to ``positions``.

    Of each logit both models' in their own precision and five or six numbers in float32: the
    tempered ones, their log-softmax, and what the exact KL is made of.
    """
    at_a_time = max(1, LOGITS_AT_A_TIME // shape.vocabulary)
    return min(positions, at_a_time) * shape.vocabulary * (6 * FLOAT32 + 2 * size)
