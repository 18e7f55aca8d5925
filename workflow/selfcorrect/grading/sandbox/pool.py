"""Running programs: workers that are isolated, counted and restarted, behind one call."""

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfcorrect.files import FileProblem
from selfcorrect.grading import frames
from selfcorrect.grading.sandbox import layers, server
from selfcorrect.grading.sandbox.limits import Limits, Outcome, Result
from selfcorrect.records import ProgramTests

# Workers find the package here; programs do not (the server takes it off the path).
BOOT = "import sys; sys.path.insert(0, {!r}); from selfcorrect.grading.sandbox.server import main"
PACKAGE = Path(server.__file__).parents[3]
ATTEMPTS = 4
HARMLESS = "def f(x):\n    return x", ProgramTests("f", "assert f([1]) == [1]")
PATIENCE = 20.0  # seconds beyond an execution's own limit, for a machine that is busy


class SandboxProblem(FileProblem):
    """Programs cannot be run here as they should be; the message says what to do."""


class UnjudgedError(SandboxProblem):
    """A program and its tests, ``execution``, of which no verdict can be had."""

    def __init__(self, why: str, program: str, tests: ProgramTests) -> None:
        super().__init__(why)
        self.execution = program, tests


@dataclass(frozen=True, slots=True)
class Protection:
    """Which layers stand, and for each that does not, why."""

    standing: tuple[str, ...]
    missing: dict[str, str]

    @property
    def safe(self) -> bool:
        """Whether all the layers stand that programs of unknown origin need."""
        return all(name in self.standing for name in layers.REQUIRED)

    def __str__(self) -> str:
        said = ", ".join(self.standing) or "nothing"
        without = "".join(f"; without {name} ({why})" for name, why in self.missing.items())
        return f"{'' if self.safe else 'UNSAFE: '}{said}{without}"


class Sandbox:
    """Executes programs with their tests, each in processes of its own. Threads may share it."""

    def __init__(
        self,
        workers: int = 1,
        limits: Limits | None = None,
        *,
        allow_unsafe: bool = False,
        without: Iterable[str] = (),
    ) -> None:
        """Probe the layers and start the workers.

        Args:
            workers: programs at a time; one a core is best.
            limits: of every execution.
            allow_unsafe: run programs even where a required layer is missing.
            without: layers to leave out, as on a system that does not have them.

        Raises:
            SandboxProblem: a required layer is missing and ``allow_unsafe`` is not set.
            ValueError: ``without`` names no layer.
        """
        if unknown := set(without) - set(layers.NAMES):
            raise ValueError(f"no such layers: {sorted(unknown)}; there are {layers.NAMES}")
        self.limits = limits or Limits()
        self.protection = protection(frozenset(without))
        if not self.protection.safe and not allow_unsafe:
            lacking = {n: w for n, w in self.protection.missing.items() if n in layers.REQUIRED}
            why = "; ".join(f"{name}: {reason}" for name, reason in lacking.items())
            raise SandboxProblem(
                f"programs that a model wrote cannot be run safely on this machine ({why}). Use a "
                "Linux kernel from 5.13 on with Landlock and seccomp, or, if nothing here is worth "
                "protecting, set `data.sandbox.allow_unsafe: true` for the task (and the same in "
                "`test`, where it has that section); results will say so."
            )
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        made = [_Worker(self.protection.standing, self.limits) for _ in range(workers)]
        for worker in made:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self._close = weakref.finalize(self, _close, os.getpid(), made, self._threads)

    def run(self, program: str, tests: ProgramTests) -> Result:
        """Execute one program with its tests.

        Raises:
            UnjudgedError: the tests cannot be run, or no program can be any more.
        """
        worker = self._idle.get()
        try:
            return worker.run(program, tests)
        finally:
            self._idle.put(worker)

    def run_all(self, programs: Sequence[tuple[str, ProgramTests]]) -> list[Result]:
        """Execute many, as many at a time as there are workers; results in the same order."""
        return list(self._threads.map(lambda each: self.run(*each), programs))

    def close(self) -> None:
        """End the workers."""
        self._close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close(owner: int, workers: "list[_Worker]", threads: ThreadPoolExecutor) -> None:
    if os.getpid() != owner:  # a forked child ends, not whom the workers belong to
        return
    threads.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.end()


_probed: dict[frozenset[str], Protection] = {}
_probing = threading.Lock()


def protection(without: frozenset[str] = frozenset()) -> Protection:
    """Which layers this machine offers, found out once by entering them and trying to get out."""
    with _probing:
        if without not in _probed:
            _probed[without] = _probe(without)
        return _probed[without]


def _probe(without: frozenset[str]) -> Protection:
    missing = {name: "left out" for name in layers.NAMES if name in without}
    wanted = tuple(name for name in layers.NAMES if name not in missing)
    if _refused(wanted):  # by which one?
        missing |= {name: why for name in wanted if (why := _refused((name,)))}
    standing = tuple(name for name in layers.NAMES if name not in missing)
    missing |= _ways_out(standing)
    return Protection(tuple(name for name in standing if name not in missing), missing)


def _refused(names: tuple[str, ...]) -> str:
    """Why a worker with these layers alone does not start or work; empty if it does."""
    worker = _Worker(names, Limits())
    try:
        result = worker.run(*HARMLESS)
    except SandboxProblem as error:
        return worker.why or str(error)
    finally:
        worker.stop()
    return "" if result.outcome is Outcome.PASSED else result.reason


def _ways_out(standing: Sequence[str]) -> dict[str, str]:
    """Layers that let pass what they are there to stop, each with what passed.

    A file outside is kept from a program twice: each of the two layers is tried without the other.
    """
    with tempfile.NamedTemporaryFile() as canary:
        memory, read = f"bytearray({2 * Limits().memory})", f"open({canary.name!r})"
        attempts = {
            "limits": (memory, "more memory was taken than allowed", None),
            "landlock": (read, "a file outside was read", "namespaces"),
            "seccomp": ("__import__('socket').socket()", "a socket was opened", None),
            "namespaces": (read, "a file outside was there", "landlock"),
        }
        return {
            name: why
            for name, (attempt, why, beside) in attempts.items()
            if name in standing
            and _passes(attempt, [layer for layer in standing if layer != beside])
        }


def _passes(attempt: str, names: Sequence[str]) -> bool:
    """Whether a program may do something behind these layers."""
    worker = _Worker(names, Limits())
    try:
        result = worker.run(f"{attempt}\ndef out(): pass", ProgramTests("out", "out()"))
    finally:
        worker.stop()
    return result.outcome is Outcome.PASSED


class _Worker:
    """One fork server, started when first needed and again after it was lost."""

    def __init__(self, standing: Sequence[str], limits: Limits) -> None:
        self._layers = list(standing)
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._stream: frames.Stream | None = None
        self._folder: Path | None = None
        self._changing = threading.Lock()
        self._ended = False
        self.why = ""  # a worker was lost

    def run(self, program: str, tests: ProgramTests) -> Result:
        """Execute one program.

        Raises:
            UnjudgedError: the tests cannot be run, or no program can be any more.
        """
        for attempt in range(ATTEMPTS):  # a worker that is lost without a word is replaced
            time.sleep(0.1 * (2**attempt - 1))
            result = self._once(program, tests)
            if result is not None:
                return result
        if self._once(*HARMLESS) is not None:
            return Result(Outcome.ERROR, f"{ATTEMPTS} workers were lost over it", certain=False)
        raise self._nothing_runs(program, tests)

    def _nothing_runs(self, program: str, tests: ProgramTests) -> UnjudgedError:
        return UnjudgedError(
            f"no program can be run: {ATTEMPTS} workers failed, the last because {self.why}. "
            "Look for what this machine has run out of: memory, processes, or space for temporary "
            "files.",
            program,
            tests,
        )

    def _started(self) -> bool:
        """Start, in several tries: that a worker does not come up is no program's fault."""
        for attempt in range(ATTEMPTS):
            time.sleep(0.1 * (2**attempt - 1))
            try:
                self._start()
            except OSError as error:
                self.stop()
                self.why = str(error)
            else:
                return True
        return False

    def _once(self, program: str, tests: ProgramTests) -> Result | None:
        """Execute one program; None if the worker was lost before there was a verdict."""
        if self._process is None and not self._started():
            raise self._nothing_runs(program, tests)
        assert self._stream is not None
        task = {
            "program": program,
            "entry_point": tests.entry_point,
            "code": tests.code,
            "context": tests.context,
            "names": tests.names,
        }
        try:
            self._stream.put(b"R")
            self._stream.send(task)
            message = self._stream.receive()
            result = None if "broken" in message else Result.from_message(message)
        except TimeoutError:
            self.stop()
            why = "the tests did not come to an end and were killed"
            return Result(Outcome.TIMEOUT, why, certain=False)
        except (OSError, EOFError, ValueError):
            self.stop()
            self.why = "it ended before a program was started"
            return None
        try:
            self._stream.take(1)  # it is ready for more
        except (OSError, EOFError):
            self.stop()
        if result is None:
            raise UnjudgedError(
                f"its tests cannot be run, whatever the program ({message['broken']}). Mend its "
                "record in the data, or leave it out.",
                program,
                tests,
            )
        return result

    def end(self) -> None:
        """Stop for good."""
        self._ended = True
        self.stop()

    def stop(self) -> None:
        """End the server and whatever it started."""
        with self._changing:
            if self._process is not None:
                assert self._socket is not None
                self._socket.close()
                assert self._process.stderr is not None
                self._process.kill()
                self._process.wait()
                self._process.stderr.close()
            if self._folder is not None:
                server.empty(self._folder / "scratch")
                shutil.rmtree(self._folder, ignore_errors=True)
            self._process = self._socket = self._stream = self._folder = None

    def _start(self) -> None:
        if self._ended:
            raise SandboxProblem("the sandbox is closed")
        self._socket, theirs = socket.socketpair()
        self._stream = frames.Stream(self._socket.recv, self._socket.send)
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-"))
        scratch = self._folder / "scratch"
        scratch.mkdir()
        (self._folder / "root").mkdir()
        options = {
            "stream": theirs.fileno(),
            "scratch": str(scratch),
            "root": str(self._folder / "root"),
            "layers": self._layers,
            "limits": asdict(self._limits),
        }
        boot = BOOT.format(str(PACKAGE)) + "; main()"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-s", "-P", "-X", "utf8", "-c", boot, json.dumps(options)],
                env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket.settimeout(60)
        try:
            hello: dict[str, Any] = self._stream.receive()
        except (OSError, EOFError) as error:
            self._process.kill()
            assert self._process.stderr is not None
            said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            raise OSError(said[-1] if said else "the worker did not start") from error
        if not hello["ready"]:
            self.stop()
            raise SandboxProblem(hello["why"])
        self._socket.settimeout(self._limits.wall_seconds + PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()
        if "namespaces" in self._layers:  # it has a scratch folder of its own by now
            shutil.rmtree(self._folder, ignore_errors=True)
