"""What the plan speaks of: a need of bytes by item, and the setting that a job has it in."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from selfcorrect.lm.memory.shape import Shapes
from selfcorrect.spec import Generation

GIB, MIB = 1 << 30, 1 << 20

Items = Mapping[str, int]


@dataclass(frozen=True)
class Need:
    """Bytes by item: what stays, and what comes in turns."""

    stays: Items
    turns: tuple[Items, ...] = ()

    @property
    def total(self) -> int:
        """Bytes at the most."""
        return sum(self.stays.values()) + max(
            (sum(turn.values()) for turn in self.turns), default=0
        )

    @property
    def items(self) -> dict[str, int]:
        """All items that are not zero."""
        every = chain.from_iterable(part.items() for part in (self.stays, *self.turns))
        return {name: size for name, size in every if size}

    def and_process(self, size: int) -> "Need":
        """The same with what the process itself takes."""
        return Need({"process": size, **self.stays}, self.turns)

    def times(self, count: int) -> "Need":
        """The same for ``count`` processes."""
        stays, *turns = (
            {name: count * size for name, size in part.items()}
            for part in (self.stays, *self.turns)
        )
        return Need(stays, tuple(turns))


@dataclass(frozen=True)
class Setting:
    """What a job's spec does not say."""

    shape: Shapes  # of its model
    prompt: int  # tokens of the longest first prompt
    bridge: int  # tokens between two attempts
    generation: Generation  # of the traces that are trained on
    processes: int = 1
    sharded: bool = False  # what is trained lies in parts on them
    on_gpu: bool = False


@dataclass(frozen=True)
class Needs:
    """A job's need of each GPU that it has, None where it has none, and of the main memory."""

    gpu: Need | None
    main: Need
