"""The process that runs the tests: it asks the program's process, compares, and gives the verdict.

The tests are trusted code. The name under test stands for the program's: calling it sends the
arguments over and brings the answer back as plain data. So no comparison ever runs the program's
code, and nothing that the program does can reach this process other than as an answer.
"""

import builtins
import contextlib
import errno
import os
import select
import signal
import sys
import time
from functools import partial
from types import CodeType
from typing import Any, NoReturn

from selfcorrect.grading import frames
from selfcorrect.grading.sandbox.candidate import last_line
from selfcorrect.grading.sandbox.limits import Limits, Outcome, Result
from selfcorrect.grading.sandbox.wire import Decoder, Encoder, WireError

FILE_NAME = "<tests>"
LONGEST_REASON = 300  # characters


class Verdict(BaseException):
    """Ends the tests with a result; no `except Exception` of theirs can stop it."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(outcome, reason)
        self.outcome, self.reason = outcome, reason


class Gone(Verdict):
    """The program's process is there no more, or no longer makes sense."""

    def __init__(self, reason: str) -> None:
        super().__init__(Outcome.ERROR, reason)


class Unconfined(BaseException):
    """The machine failed before the program was started: that is no verdict about the program."""


class Broken(BaseException):
    """The tests cannot be run, whatever the program: that is no verdict about it either."""


class CandidateError(Exception):
    """An exception of the program's that has no like here."""


class Channel:
    """Questions to the program's process, one at a time, each with an answer."""

    def __init__(self, descriptor: int, limits: Limits) -> None:
        self._descriptor = descriptor
        self._stream = frames.Stream(self._read, partial(os.write, descriptor))
        self._limits = limits
        self._until = time.monotonic() + limits.wall_seconds
        self._remotes: dict[tuple[Any, ...], Remote] = {}
        self.over: Verdict | None = None  # once it is over, it stays over, whatever tests catch
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLIN)

    def start(self, program: str) -> None:
        """Have the program executed, once its process is confined; raises what it raises.

        Raises:
            Unconfined: it could not be; the program has not been sent.
        """
        try:
            self._receive()
        except Verdict as verdict:
            raise Unconfined(verdict.reason) from None
        self._exchange({"program": program})

    def ask(self, do: str, *what: Any) -> Any:
        """The answer to a question, as plain data; raises what the program raises."""
        encoder = Encoder(_reference)
        node = encoder.node(what)
        reply = self._exchange({"do": do, "what": node}, may_stop=do == "next")
        decoder = Decoder(self._resolve)
        decoder.know(encoder.containers)
        try:
            for changed in reply["changed"]:
                decoder.value(changed)
            return decoder.value(reply["result"])
        except (WireError, KeyError, TypeError, RecursionError) as error:
            self.over = Gone(f"its answer cannot be read: {error}")
            raise self.over from None

    def remote(self, *node: Any) -> "Remote":
        """What a reference stands for: always the same for the same."""
        return self._remotes.setdefault(node, Remote(self, list(node)))

    def _resolve(self, node: list[Any]) -> "Remote":
        if len(node) == 2 and node[0] == "object" and type(node[1]) is int:
            return self.remote(*node)
        raise WireError("neither data nor an object")

    def _exchange(self, message: Any, may_stop: bool = False) -> dict[str, Any]:
        """Send a question and receive what comes back; raises what the program raises."""
        if self.over is not None:
            raise self.over
        try:
            self._send(message)
            reply = self._receive()
            if "raised" not in reply:
                return reply
            error = _rebuilt(reply, may_stop)
        except Verdict as verdict:
            self.over = verdict
            raise
        raise error

    def _send(self, message: Any) -> None:
        try:
            self._stream.send(message)
        except OSError:
            raise Gone("it closed its stream") from None

    def _receive(self) -> Any:
        try:
            reply = self._stream.receive(self._limits.output)
        except frames.TooLongError as error:
            raise Verdict(Outcome.OUTPUT, f"an answer of {error.size} bytes") from None
        except EOFError:
            raise Gone("it ended") from None
        except (ValueError, RecursionError) as error:
            raise Gone(f"its answer cannot be read: {error}") from None
        if not isinstance(reply, dict):
            raise Gone("its answer cannot be read")
        return reply

    def _read(self, size: int) -> bytes:
        """At most ``size`` bytes, none at the end; a verdict where there are none in time."""
        left = self._until - time.monotonic()
        if left <= 0 or not self._ready.poll(1000 * left):
            raise Verdict(Outcome.TIMEOUT, f"no answer in {self._limits.wall_seconds:g} s")
        try:
            return os.read(self._descriptor, size)
        except OSError:
            return b""


class Remote:
    """Something of the program's that is not data: equal to itself alone."""

    __slots__ = ("_channel", "_node")

    def __init__(self, channel: Channel, node: list[Any]) -> None:
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_node", node)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Have the program call it."""
        return self._channel.ask("call", self, arguments, named)

    def __getattr__(self, name: str) -> Any:
        return self._channel.ask("get attribute", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._channel.ask("set attribute", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._channel.ask("get item", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._channel.ask("set item", self, key, value)

    def __iter__(self) -> Any:
        return self._channel.ask("iterate", self)

    def __next__(self) -> Any:
        return self._channel.ask("next", self)

    def __len__(self) -> Any:
        return self._channel.ask("length", self)

    def __bool__(self) -> bool:
        return bool(self._channel.ask("truth", self))

    def __str__(self) -> str:
        return str(self._channel.ask("text", self))

    def __repr__(self) -> str:
        return str(self._channel.ask("representation", self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self._node == other._node

    def __hash__(self) -> int:
        return hash(tuple(self._node))


def _reference(value: Any) -> list[Any]:
    if isinstance(value, Remote):
        return value._node
    raise Broken(f"they pass a {type(value).__name__}, which cannot be sent to a program")


def _rebuilt(reply: dict[str, Any], may_stop: bool) -> Exception:
    """The program's exception, to be raised here: one of Python's own, marked as the program's.

    Args:
        reply: the message about it.
        may_stop: whether it may end a loop here. Else StopIteration out of a call would end
            whatever loop of the tests the call is made in, before its tests are made.

    Raises:
        Verdict: it is one that ends the program, or none at all.
    """
    kinds, name, message, line = (reply.get(k) for k in ("raised", "name", "message", "line"))
    where = f" (line {line})" if isinstance(line, int) else ""
    said = f"{name}: {message}{where}" if message else f"{name}{where}"
    if not isinstance(kinds, list) or not isinstance(message, str):
        raise Gone("its answer cannot be read")
    if "Exception" not in kinds:  # SystemExit and the like may not pass for an end of this process
        raise Verdict(Outcome.ERROR, said)
    error: Exception = CandidateError(message)
    for kind in (getattr(builtins, str(each), None) for each in kinds):
        stops = kind in (StopIteration, StopAsyncIteration) and not may_stop
        if isinstance(kind, type) and issubclass(kind, Exception) and not stops:
            with contextlib.suppress(Exception):  # some need other arguments
                error = kind(message)
                break
    error.candidate = said, _outcome_of(kinds, reply.get("errno"))  # type: ignore[attr-defined]
    return error


def _outcome_of(kinds: list[Any], number: Any) -> Outcome:
    if "MemoryError" in kinds or number == errno.ENOMEM:
        return Outcome.MEMORY
    if "PermissionError" in kinds or number == errno.EROFS:
        return Outcome.FORBIDDEN
    if number in (errno.EFBIG, errno.ENOSPC, errno.EDQUOT):
        return Outcome.OUTPUT
    return Outcome.ERROR


def _prepared(task: dict[str, Any], names: dict[str, Any]) -> CodeType:
    """The tests' code, with ``names`` filled with those that it builds on.

    Raises:
        Broken: they cannot be had.
    """
    try:
        code = compile(task["code"], FILE_NAME, "exec")
        exec(compile(task["context"], "<context>", "exec"), names)
    except Exception as error:
        raise Broken(_failure(error, task["code"])) from None
    return code


def test(channel: Channel, task: dict[str, Any]) -> Result:
    """Run a program against its tests.

    Raises:
        Unconfined: the program was not started.
        Broken: the tests themselves cannot be run.
    """
    try:
        names: dict[str, Any] = {"__name__": "tests"}
        code = _prepared(task, names)
        channel.start(task["program"])
        for name in (task["entry_point"], *task["names"]):
            names[name] = channel.remote("name", name)
        exec(code, names)
    except (Unconfined, Broken):
        raise
    except Verdict as verdict:
        result = Result(verdict.outcome, verdict.reason)
    except BaseException as error:
        if hasattr(error, "candidate"):
            said, outcome = error.candidate
            result = Result(outcome, said)
        elif isinstance(error, MemoryError):
            result = Result(Outcome.MEMORY, "in the tests' process")
        else:
            result = Result(Outcome.FAILED, _failure(error, task["code"]))
    else:
        result = Result(Outcome.PASSED, "all tests passed")
    # Tests may catch anything, but not pass a program that is over.
    return result if channel.over is None else Result(channel.over.outcome, channel.over.reason)


def _failure(error: BaseException, code: str) -> str:
    """Which test failed, and how."""
    line = last_line(error, FILE_NAME)
    said = type(error).__name__
    with contextlib.suppress(BaseException):  # its message may hold the program's own objects
        said += f": {error}" if str(error) else ""
    lines = code.splitlines()
    shown = f" in `{lines[line - 1].strip()}`" if line and line <= len(lines) else ""
    return said + shown


def report(result: Result, candidate: int, limits: Limits, ended: str | None) -> dict[str, Any]:
    """End the program's process, and the result with what it used and how it ended.

    Args:
        result: as far as the tests know.
        candidate: pid.
        limits: it had.
        ended: why its process made no sense any more, or None.
    """
    killed = False  # by whom but us? A machine without memory does that
    for _ in range(0 if ended is None else 200):  # it is ending, or should be: a moment tells how
        found = os.waitid(os.P_PID, candidate, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None:
            killed = found.si_status == signal.SIGKILL and found.si_code == os.CLD_KILLED
            break
        time.sleep(0.001)
    os.kill(candidate, signal.SIGKILL)
    _, status, usage = os.wait4(candidate, 0)
    cpu = usage.ru_utime + usage.ru_stime
    outcome, reason = result.outcome, result.reason
    if ended is not None:
        outcome, reason = _end(status, cpu, limits, ended)
    return {
        "outcome": outcome.value,
        "certain": outcome is not Outcome.TIMEOUT and not killed,
        "reason": "".join(c if c.isprintable() else "�" for c in reason[:LONGEST_REASON]),
        "cpu_seconds": round(cpu, 4),
        "peak_memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def _end(status: int, cpu: float, limits: Limits, ended: str) -> tuple[Outcome, str]:
    """What the end of the program's process says."""
    if os.WIFEXITED(status):
        return Outcome.ERROR, f"{ended} by itself (exit status {os.WEXITSTATUS(status)})"
    killed = os.WTERMSIG(status)
    if killed == signal.SIGXCPU or cpu >= limits.cpu_seconds:
        return Outcome.TIMEOUT, f"more than {limits.cpu_seconds} s of CPU time"
    if killed == signal.SIGSYS:
        return Outcome.FORBIDDEN, "killed for a system call that the sandbox forbids"
    if killed == signal.SIGXFSZ:
        return Outcome.OUTPUT, f"more than {limits.output} bytes written"
    if killed == signal.SIGKILL:
        return Outcome.ERROR, f"{ended} (killed)"
    return Outcome.ERROR, f"crashed ({signal.strsignal(killed) or f'signal {killed}'})"


def serve(stream: int, channel: int, candidate: int, limits: Limits) -> NoReturn:
    """Judge the one program that ``stream`` holds, by the process behind ``channel``."""
    try:
        task = frames.over(stream).receive()
    except EOFError:
        os._exit(0)
    asked = Channel(channel, limits)

    done = False

    def alarm(*_: Any) -> None:
        if not done:
            asked.over = asked.over or Verdict(Outcome.TIMEOUT, "the tests took too long")
            raise asked.over

    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + 1, 1)  # in case tests catch it
    broken = None
    try:
        result = test(asked, task)
        done = True
    except Broken as error:
        done = True
        result, broken = Result(Outcome.FAILED, "not tested"), str(error)
    except Verdict as verdict:  # the alarm, between two lines of ours
        done = True
        result = Result(verdict.outcome, verdict.reason)
    signal.setitimer(signal.ITIMER_REAL, 0)
    ended = asked.over.reason if isinstance(asked.over, Gone) else None
    about = report(result, candidate, limits, ended)
    tell(stream, about if broken is None else {"broken": broken})
    os._exit(0)


def tell(stream: int, report: dict[str, Any]) -> None:
    """Send a report to whoever asked, if there is anybody left."""
    with contextlib.suppress(BrokenPipeError):
        frames.over(stream).send(report)
