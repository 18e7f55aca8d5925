"""The processes of one training job, each with an equal share of every batch.

``torchrun`` starts them (``python -m torch.distributed.run``) and `accelerate` connects them, over
NCCL on GPUs and over gloo on CPUs. A job of one process is a team of one and connects nothing.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from selfcorrect.validation import ConfigError

AnyItem = TypeVar("AnyItem")

# How long a process waits for the others before it gives up. The one that writes does so alone, and
# a checkpoint of tens of gigabytes takes a slow file system longer than the ten minutes of NCCL.
PATIENCE = timedelta(hours=24)


class Team:
    """This process among its peers; every process must call the same methods in the same order."""

    def __init__(self, device: str = "cpu") -> None:
        """Join the others, where ``torchrun`` started several."""
        self.rank, self.size = 0, int(os.environ.get("WORLD_SIZE", "1"))
        self.device = device
        if self.size > 1:
            from accelerate import PartialState

            state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
            self.rank, self.device = state.process_index, str(state.device)

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, count: int, key: str) -> range:
        """This process's places of ``count``, in the order of the processes.

        Raises:
            ConfigError: they cannot be shared equally; ``key`` says what to change.
        """
        each, rest = divmod(count, self.size)
        if rest:
            raise ConfigError(
                f"{key}: {count} cannot be shared equally by {self.size} processes "
                "(compute.processes)"
            )
        return range(self.rank * each, (self.rank + 1) * each)

    def gather(self, items: Sequence[AnyItem]) -> list[AnyItem]:
        """The items of all processes, in the order of the processes."""
        if self.size == 1:
            return list(items)
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def leave(self) -> None:
        """Part from the others, when all is done."""
        if self.size > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
