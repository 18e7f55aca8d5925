"""The fork server of one worker: a warm interpreter that makes two processes for each program.

    python -S -s -P -X utf8 -c BOOT '{"root": DIR, "scratch": DIR, "stream": FD, "layers": [...],
                                      "limits": {...}}'

It never reads a request: it forks the tests' process, which forks the program's process and only
then reads, so the program's process starts without ever having held the tests. Its first message
says which layers stand.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from selfcorrect.grading import frames
from selfcorrect.grading.sandbox import judge
from selfcorrect.grading.sandbox.candidate import Candidate
from selfcorrect.grading.sandbox.layers import kernel, landlock, namespaces, rlimits, seccomp
from selfcorrect.grading.sandbox.limits import Limits, Outcome, Result

# What programs import most; a module that is here already costs them nothing.
WARM = (
    "abc", "array", "bisect", "calendar", "cmath", "collections", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "heapq", "itertools", "json",
    "math", "numbers", "operator", "random", "re", "string", "struct", "textwrap", "threading",
    "time", "typing", "unicodedata",
)  # fmt: skip

# What a program may read: Python's library and the shared libraries its modules need.
LIBRARIES = (
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")),
    *map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache",
                "/usr/share/zoneinfo", "/dev/urandom")),
)  # fmt: skip

# What others have installed there, tests and solutions of a benchmark perhaps.
PACKAGES = frozenset(
    found
    for library in LIBRARIES
    if library.is_dir()
    for pattern in ("*-packages", "python3*", "*/*-packages")
    for found in library.glob(pattern)
    if found.name in ("site-packages", "dist-packages", "python3")
)

JUDGE_MEMORY = 2**30
LONGEST = 24 * 3600  # seconds of CPU time
TOO_LONG = asdict(Result(Outcome.TIMEOUT, "the tests took too long and were killed", certain=False))
ANY_PID = b"\xfe\xca\xfe\x7f"  # in a filter that is built once, where a process's own pid goes


def _warm_up() -> None:
    """Import what programs import most, without what some of it would have every fork run.

    Left out are a new seed for `random` (a program's luck shall be the same every time) and the
    bookkeeping of `threading` (there are no threads); they cost a third of a fork.
    """
    register, os.register_at_fork = os.register_at_fork, lambda **_: None
    try:
        for name in WARM:
            importlib.import_module(name)
    finally:
        os.register_at_fork = register
    sys.modules["random"].seed(0)


class Server:
    """One worker's warm interpreter."""

    def __init__(
        self, stream: int, scratch: Path, root: Path, wanted: list[str], limits: Limits
    ) -> None:
        """Enter the layers that are for all programs, prepare those that each program enters.

        Raises:
            LayerMissing: the kernel refuses one of the ``wanted``.
        """
        self.stream = stream
        self.scratch = scratch
        self.folder = str(scratch)  # a path is slow to take apart in a process of its own
        self.wanted = wanted
        self.limits = limits
        _warm_up()
        sys.path[:] = [path for path in sys.path if Path(path) in LIBRARIES
                       or Path(path).is_relative_to(sysconfig.get_path("platstdlib"))]  # fmt: skip
        self.mapped = rlimits.mapped_memory()
        if "namespaces" in wanted:
            namespaces.enter(root, LIBRARIES, PACKAGES, scratch, size=64 * rlimits.MIB)
        libraries = [
            path for library in LIBRARIES for path in landlock.except_for(library, PACKAGES)
        ]
        self.alone = "namespaces" in wanted
        self.ruleset = self.judge_ruleset = None
        if "landlock" in wanted:
            self.ruleset = landlock.ruleset_for(libraries, scratch if self.alone else None)
            self.judge_ruleset = landlock.ruleset_for(libraries, signals=True)
        if self.alone:
            kernel.drop_capabilities()
        if "seccomp" in wanted:
            seccomp.enter(seccomp.server_filter())
            self.filter = seccomp.program_filter(int.from_bytes(ANY_PID, "little"))
        gc.collect()
        gc.freeze()

    def serve(self) -> NoReturn:
        """Judge one program for each byte on the stream, until it ends.

        A byte after each report says that this worker is ready for more.
        """
        while os.read(self.stream, 1):
            pid = os.fork()
            if pid == 0:
                try:
                    self._judge()
                finally:  # not by `serve`: without a report, whoever asked tries another worker
                    os._exit(1)
            _, status = os.waitpid(pid, 0)
            if os.WIFSIGNALED(status):
                judge.tell(self.stream, TOO_LONG)
            empty(self.scratch)
            # A request half read, or something that is left of the program: a new worker is needed.
            if status or any(self.scratch.iterdir()):
                break
            with contextlib.suppress(BrokenPipeError):
                os.write(self.stream, b".")
        if not self.alone:  # whoever asked may be gone, and the folder is on a real disk
            empty(self.scratch.parent)
            with contextlib.suppress(OSError):
                self.scratch.parent.rmdir()
        os._exit(0)

    def _judge(self) -> NoReturn:
        with contextlib.suppress(kernel.LayerMissing):
            kernel.die_with_parent()
        ours, theirs = socket.socketpair()
        candidate = os.fork()
        if candidate == 0:
            try:
                self._candidate(theirs.fileno())
            finally:
                os._exit(70)
        theirs.close()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # tests that write get an error
        # Tests that hang in one long operation are beyond the alarm, but not beyond this.
        longest = min(LONGEST, int(self.limits.wall_seconds) + 2)
        rlimits.limit(longest, self.mapped + JUDGE_MEMORY, 1)
        if self.judge_ruleset is not None and not self.alone:
            landlock.enter(self.judge_ruleset)
        judge.serve(self.stream, ours.fileno(), candidate, self.limits)

    def _candidate(self, channel: int) -> NoReturn:
        """Confine this process, then run the program that comes down the channel."""
        with contextlib.suppress(kernel.LayerMissing):
            kernel.die_with_parent()
        output = os.memfd_create("output")  # gone with the process
        nothing = os.open(os.devnull, os.O_RDONLY)
        kept = [nothing, output, output, channel]  # to become 0, 1, 2, 3
        kept += [] if self.ruleset is None else [self.ruleset]
        for target, source in enumerate(kept):
            os.dup2(source, 100 + target)
        for target in range(len(kept)):
            os.dup2(100 + target, target)
        os.closerange(len(kept), 2**20)
        os.chdir(self.folder)
        if "limits" in self.wanted:
            limits = self.limits
            rlimits.limit(limits.cpu_seconds, self.mapped + limits.memory, limits.output)
        if self.ruleset is not None:
            if not self.alone:
                kernel.drop_capabilities()
            landlock.enter(4)
            os.close(4)
        if "seccomp" in self.wanted:
            seccomp.enter(self.filter.replace(ANY_PID, os.getpid().to_bytes(4, "little")))
        stream = frames.over(3)
        stream.send({"ready": True})
        candidate = Candidate(stream)
        candidate.run(stream.receive()["program"])
        candidate.serve()


def empty(folder: Path) -> None:
    """Delete all that is in ``folder``, as far as it can be: however deep, and whoever locked it.

    What lies in a folder is moved up before that folder is deleted, so no path becomes long.
    """
    moved = 0
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
        while left := list(folder.iterdir()):
            for path in left:
                if path.is_symlink() or not path.is_dir():
                    path.unlink()
                    continue
                path.chmod(0o700)
                for inner in path.iterdir():
                    if inner.is_dir() and not inner.is_symlink():
                        inner.chmod(0o700)  # a folder that is moved is written to
                    while (target := folder / f"{moved}").is_symlink() or target.exists():
                        moved += 1
                    inner.rename(target)
                path.rmdir()


def main() -> NoReturn:
    """Start as the last argument says, report the layers, serve."""
    options: dict[str, Any] = json.loads(sys.argv[-1])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # whatever the parent's were
    # For all its processes. SIGPIPE stays ignored, as Python sets it.
    for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM, signal.SIGCHLD, signal.SIGINT,
                   signal.SIGXFSZ):  # fmt: skip
        signal.signal(number, signal.SIG_DFL)
    stream = options["stream"]
    try:
        server = Server(
            stream,
            Path(options["scratch"]),
            Path(options["root"]),
            options["layers"],
            Limits(**options["limits"]),
        )
        hello: dict[str, Any] = {"ready": True}
    except OSError as error:
        hello = {"ready": False, "why": str(error)}
    os.dup2(0, 2)  # whoever started it reads no further
    frames.over(stream).send(hello)
    if hello["ready"]:
        server.serve()
    os._exit(1)
