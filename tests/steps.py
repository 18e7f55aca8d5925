"""Steps of the workflow in processes of their own that start at once and can be killed.

They are forked from a server process that has imported torch and computed nothing, so each is a
process as ``python -m selfcorrect.steps.NAME`` makes one, less the seconds that imports take.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfcorrect.validation import Strict

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "selfcorrect.steps.cli",  # sets the environment, before torch
        "selfcorrect.learning.trainer",
        "selfcorrect.learning.sft",
        "selfcorrect.collect",
        "pyarrow.parquet",
    ]
)


@dataclass(frozen=True)
class Ended:
    """How a process ended; ``status`` is negative for a signal."""

    status: int
    errors: str


class Step:
    """A step at work."""

    def __init__(
        self, name: str, arguments: Sequence[str], errors: Path, kill_at: int | None, before: bool
    ) -> None:
        self._errors = errors
        self._process = _FORKS.Process(
            target=_run, args=(name, list(arguments), str(errors), kill_at, before)
        )
        self._process.start()

    def wait(self) -> Ended:
        """Let it end."""
        self._process.join(300)
        assert self._process.exitcode is not None, "a step hangs"
        return Ended(self._process.exitcode, self._errors.read_text())

    def kill_when(self, ready: Callable[[], bool]) -> Ended:
        """``kill -9`` as soon as ``ready()``; or its end, if that comes first."""
        while self._process.is_alive() and not ready():
            time.sleep(0.002)
        self._process.kill()
        return self.wait()


def start(
    name: str,
    job: Strict,
    errors: Path,
    *,
    kill_at: int | None = None,
    before: bool = False,
    **paths: Path,
) -> Step:
    """Start a step.

    Args:
        name: the module in ``selfcorrect.steps``.
        job: its spec.
        errors: file for what it writes to standard error.
        kill_at: the process kills itself when it renames its nth finished file, counted from 1 ...
        before: ... just before the rename instead of just after.
        paths: its other arguments.
    """
    arguments = ["--spec", job.model_dump_json()]
    for key, path in paths.items():
        arguments += [f"--{key}", str(path)]
    return Step(name, arguments, errors, kill_at, before)


def finish(name: str, job: Strict, folder: Path, **paths: Path) -> None:
    """A step from its start to its end, which is to be a good one; ``folder`` is for its errors."""
    ended = start(name, job, folder / "errors.txt", **paths).wait()
    assert ended.status == 0, ended.errors


def _run(name: str, arguments: list[str], errors: str, kill_at: int | None, before: bool) -> None:
    sys.stderr = Path(errors).open("w", buffering=1)  # noqa: SIM115
    os.dup2(sys.stderr.fileno(), 2)
    if kill_at is not None:
        _kill_at_rename(kill_at, before)
    from selfcorrect.steps import cli

    sys.argv = [name, *arguments]
    cli.run(importlib.import_module(f"selfcorrect.steps.{name}").main)


def _kill_at_rename(number: int, before: bool) -> None:
    rename, count = Path.replace, 0

    def replace(self: Path, target: Any) -> Path:
        nonlocal count
        count += 1
        if before and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        renamed = rename(self, target)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed

    Path.replace = replace  # type: ignore[method-assign]
