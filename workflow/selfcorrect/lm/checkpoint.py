"""Checkpoints that survive `kill -9`: written aside, renamed, checksummed, tied to their job.

A training job keeps its state in a work folder beside its output. Killed at any moment and run
again, it goes on from the last checkpoint and ends in the same bits as if it had not been killed.
"""

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from selfcorrect import files

_DIGEST_BYTES = 32


class Workspace:
    """The work folder of one training job: its checkpoint and its log.

    ``identity`` says what the job is (spec, code, inputs); a checkpoint of another identity is
    left aside and overwritten.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.checkpoint = folder / "checkpoint.pt"
        self.log = folder / "training.jsonl"
        text = json.dumps(identity, sort_keys=True)
        self.identity = hashlib.sha256(text.encode()).hexdigest()

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint's state, or None where the job begins.

        Also cuts the log back to the checkpoint's step and restores torch's RNG.

        Raises:
            FileProblem: the checkpoint is damaged.
        """
        if not self.checkpoint.is_file():
            self.log.unlink(missing_ok=True)
            return None
        raw = self.checkpoint.read_bytes()
        payload, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != digest:
            raise files.damaged(self.checkpoint, "its checksum does not match")
        state: dict[str, Any] = torch.load(io.BytesIO(payload), weights_only=True)
        if state["identity"] != self.identity:
            self.checkpoint.unlink()
            self.log.unlink(missing_ok=True)
            return None
        self._cut_log(state["log_bytes"])
        torch.set_rng_state(state["rng"])
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; ``state`` holds tensors, numbers, texts and containers of them."""
        buffer = io.BytesIO()
        log_bytes = self.log.stat().st_size if self.log.is_file() else 0
        whole = {
            **state,
            "identity": self.identity,
            "log_bytes": log_bytes,
            "rng": torch.get_rng_state(),
        }
        torch.save(whole, buffer)
        with files.replacing(self.checkpoint) as temporary:
            digest = hashlib.sha256(buffer.getbuffer()).digest()
            temporary.write_bytes(buffer.getbuffer().tobytes() + digest)

    def record(self, numbers: dict[str, Any]) -> None:
        """Append one JSON line to the log."""
        with files.explaining(self.log), self.log.open("a") as stream:
            stream.write(json.dumps(numbers) + "\n")

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
