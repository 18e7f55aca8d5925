"""What is around a sandbox and must not be touched: files, sockets, processes, a secret."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attacks import CANARY, Attack

# A program and its tests as most harnesses run them: passed is what ends with status 0.
NAIVE = """
import json, sys
task = json.load(sys.stdin)
tests = task["tests"]
names = {"__name__": "program"}
exec(task["program"], names)
exec(task["context"], names)
exec(tests, names)
"""
SECRET = secrets.token_hex(16)


class Surroundings:
    """Watched files, listening sockets and a process that is nobody's business."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.canary = folder / "canary"
        self.elsewhere = folder / "elsewhere"
        self.library = Path(os.__file__)
        self._lay_out()
        name = f"\0sandbox-test-{os.getpid()}"
        self._listeners = {
            "TCP": self._listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "STREAM": self._listener(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "stream")),
            "DATAGRAM": self._listener(socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "datagram")),
            "ABSTRACT": self._listener(socket.AF_UNIX, socket.SOCK_STREAM, name),
            "ABSTRACT_DATAGRAM": self._listener(socket.AF_UNIX, socket.SOCK_DGRAM, f"{name}-d"),
        }
        self.port = self._listeners["TCP"].getsockname()[1]
        address = ("127.0.0.1", self.port)
        self._listeners["UDP"] = self._listener(socket.AF_INET, socket.SOCK_DGRAM, address)
        self._bystander = self._start_bystander()

    def _lay_out(self) -> None:
        self.canary.write_text(CANARY)
        self.canary.chmod(0o644)
        if self.elsewhere.is_dir():
            self.elsewhere.rmdir()
        self.elsewhere.unlink(missing_ok=True)
        self._files = self._state()

    def _state(self) -> list[object]:
        """Changes with any change of the watched files, also of mode, times and links."""
        return [
            (path.name, path.lstat().st_ctime_ns) if os.path.lexists(path) else path.name
            for path in (self.canary, self.elsewhere, self.library)
        ]

    @staticmethod
    def _listener(family: int, kind: int, address: object) -> socket.socket:
        made = socket.socket(family, kind)
        made.bind(address)
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made

    @staticmethod
    def _start_bystander() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["sleep", "1000"], env={"SANDBOX_SECRET": SECRET}, start_new_session=True
        )

    def filled(self, text: str) -> str:
        """A program or tests with the words between @ signs put in."""
        words = {
            "CANARY": repr(str(self.canary)),
            "FOLDER": repr(str(self.folder)),
            "ELSEWHERE": repr(str(self.elsewhere)),
            "TESTS": repr(__file__),
            "PORT": str(self.port),
            "BYSTANDER": str(self._bystander.pid),
            "SECRET": repr(SECRET),
            **{name: repr(listener.getsockname()) for name, listener in self._listeners.items()},
        }
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        return text

    def harm(self) -> list[str]:
        """What was touched since it was last asked for; all is as before after that."""
        touched = []
        if self._state() != self._files:
            touched.append("files")
            self._lay_out()
        for name, listener in self._listeners.items():
            try:
                if listener.type == socket.SOCK_STREAM:
                    listener.accept()[0].close()
                else:
                    listener.recv(10)
                touched.append(name)
            except BlockingIOError:
                pass
        stat = Path(f"/proc/{self._bystander.pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] in "TZX":
            touched.append("bystander")
            self._end_bystander()
            self._bystander = self._start_bystander()
        return touched

    def wins_unprotected(self, attack: Attack) -> bool:
        """Whether the attack passes, or does harm, where nothing stops it."""
        task = {
            "program": self.filled(attack.program),
            "tests": self.filled(attack.tests),
            "context": attack.context,
        }
        with tempfile.TemporaryDirectory() as folder:
            ended = subprocess.run(
                [sys.executable, "-I", "-S", "-c", NAIVE],
                input=json.dumps(task).encode(),
                capture_output=True,
                env={"SANDBOX_SECRET": SECRET},
                cwd=folder,
                timeout=20,
            )
        passed = ended.returncode == 0
        return self._harmed_within(seconds=0 if passed else 5) or passed

    def _harmed_within(self, seconds: float) -> bool:
        """Whether harm shows: a process that was sent a signal ends a little later than that."""
        until = time.monotonic() + seconds
        while not (harmed := bool(self.harm())) and time.monotonic() < until:
            time.sleep(0.01)
        return harmed

    def _end_bystander(self) -> None:
        self._bystander.kill()
        self._bystander.wait()

    def close(self) -> None:
        self._end_bystander()
        for listener in self._listeners.values():
            listener.close()


class Processes:
    """The processes of all sessions that a process's children ever led, ended ones apart."""

    def __init__(self, parent: int | None = None) -> None:
        """``parent``: this process if it is not given."""
        self._parent = parent or os.getpid()
        self._sessions: set[int] = set()

    def now(self) -> set[int]:
        """Their ids."""
        parents: dict[int, int] = {}
        sessions: dict[int, int] = {}
        # Not by a glob, which asks after each path and raises where a process has ended by then.
        for folder in Path("/proc").iterdir():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if folder.name.isdecimal() and fields[0] not in "ZX":
                pid = int(folder.name)
                parents[pid], sessions[pid] = int(fields[1]), int(fields[3])
        children = (pid for pid, parent in parents.items() if parent == self._parent)
        self._sessions |= {sessions[pid] for pid in children} - {os.getsid(0)}
        return {pid for pid, session in sessions.items() if session in self._sessions}


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether it comes true; processes take a moment to end."""
    until = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < until:
        time.sleep(0.005)
    return true
