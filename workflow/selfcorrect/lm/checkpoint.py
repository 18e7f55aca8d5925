"""Checkpoints that survive `kill -9`: written aside, renamed, checksummed, tied to their job.

A training job keeps its state in a work folder beside its output. Killed at any moment and run
again, it goes on from the last checkpoint. On the CPU, with as many processes and the settings of
memory of before, it ends in the same bits as if it had not been killed; else in nearly the same.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

import torch

from selfcorrect import files

_DIGEST_BYTES = 32


class Workspace:
    """The work folder of one training job: its checkpoint and its log.

    ``identity`` says what the job is (``steps.cli.identity``); a checkpoint of another identity is
    left aside and overwritten.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], writes: bool = True) -> None:
        """``writes``: whether this process is the one of the job's that writes."""
        self.folder = folder
        self.writes = writes
        self.checkpoint = folder / "checkpoint.pt"
        self.log = folder / "training.jsonl"
        self.identity = files.digest(identity)

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint's state, or None where the job begins.

        Also cuts the log back to the checkpoint's step and restores torch's RNG. A machine that
        went down may have kept the checkpoint and lost lines of the log: then the job begins too.

        Raises:
            FileProblem: the checkpoint is damaged.
        """
        state = self._read()
        if state is None or state["identity"] != self.identity or self._log_is_short(state):
            self._forget()
            return None
        if self.writes:
            self._cut_log(state["log_bytes"])
        torch.set_rng_state(state["rng"])
        return state

    def _read(self) -> dict[str, Any] | None:
        """The checkpoint, whosever it is.

        Opened once: where several processes begin, the one that writes may delete another job's
        while the others read it.
        """
        try:
            stream = self.checkpoint.open("rb")
        except FileNotFoundError:
            return None
        with stream:
            size = max(0, os.fstat(stream.fileno()).st_size - _DIGEST_BYTES)
            if _digest(stream, size) != stream.read():
                raise files.damaged(self.checkpoint, "its checksum does not match")
            stream.seek(0)
            state: dict[str, Any] = torch.load(stream, weights_only=True, map_location="cpu")
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; ``state`` holds tensors, numbers, texts and containers of them."""
        log_bytes = self.log.stat().st_size if self.log.is_file() else 0
        whole = {
            **state,
            "identity": self.identity,
            "log_bytes": log_bytes,
            "rng": torch.get_rng_state(),
        }
        with files.replacing(self.checkpoint) as temporary, temporary.open("w+b") as stream:
            _write(whole, stream)
            size = stream.tell()
            stream.seek(0)
            stream.write(_digest(stream, size))  # readers of torch's format do not mind

    def record(self, numbers: dict[str, Any]) -> None:
        """Append one JSON line to the log."""
        with files.explaining(self.log), self.log.open("a") as stream:
            stream.write(json.dumps(numbers) + "\n")

    def _forget(self) -> None:
        """Leave nothing of another run's."""
        if self.writes:
            self.checkpoint.unlink(missing_ok=True)
            self.log.unlink(missing_ok=True)

    def _log_is_short(self, state: dict[str, Any]) -> bool:
        there = self.log.stat().st_size if self.log.is_file() else 0
        return there < int(state["log_bytes"])

    def _cut_log(self, size: int) -> None:
        """Forget what was logged after the checkpoint."""
        if self.log.is_file():
            with self.log.open("r+b") as stream:
                stream.truncate(size)

    def publish_log(self, path: Path) -> None:
        """Copy the finished log to its place among the results."""
        with files.replacing(path) as temporary:
            shutil.copyfile(self.log, temporary)

    def clear(self) -> None:
        """Delete the work folder: the job is done."""
        files.remove(self.folder)


def _write(state: dict[str, Any], stream: IO[bytes]) -> None:
    try:
        torch.save(state, stream)
    except RuntimeError as error:  # of a full disk torch says something else
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def _digest(stream: IO[bytes], size: int) -> bytes:
    """The SHA-256 of a stream's first bytes, a piece at a time."""
    found = hashlib.sha256()
    while size and (piece := stream.read(min(size, 1 << 20))):
        found.update(piece)
        size -= len(piece)
    return found.digest()
