"""The verdict on solutions to problems in mathematics, in bounded time whatever they say."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path

from selfcorrect.grading import frames
from selfcorrect.grading.mathematics.final_answer import final_answer
from selfcorrect.grading.mathematics.notation import notation
from selfcorrect.records import Grade, Submission, Verdict

VERSION = "mathematics/4"

SECONDS = 2.0  # of CPU time for a pair
MEGABYTES = 1024  # of address space
PATIENCE = 60.0  # seconds by the clock, on a machine that is busy
ATTEMPTS = 2
KNOWN = 100_000  # pairs whose verdicts are kept
BOOT = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r}); " + (
    "from selfcorrect.grading.mathematics.server import main; main()"
)

_REASONS = {
    "timeout": f"not compared within {SECONDS:g} s",
    "memory": f"not compared within {MEGABYTES} MB",
}


class MathGrader:
    """Grades solutions; the process that compares starts with the first pair that needs it."""

    version = VERSION

    def __init__(self) -> None:
        self._comparer = _Comparer()
        self.compare = lru_cache(KNOWN)(self._compare)

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """The verdict on each; fails closed, so that nothing never equals nothing."""
        return [self._grade(submission) for submission in submissions]

    def _grade(self, submission: Submission) -> Grade:
        if submission.truncated:
            return Grade(Verdict.TRUNCATED, None)
        answer = final_answer(submission.text)
        if answer is None:
            return Grade(Verdict.UNPARSED, None, "no final answer")
        found = self.compare(submission.problem.answer, answer)
        verdict = Verdict.TIMEOUT if found == "memory" else Verdict(found)
        # In the one notation, so that who compares answers or counts votes needs no gold answer.
        return Grade(verdict, notation(answer), _REASONS.get(found))

    def _compare(self, gold: str, answer: str) -> str:
        """Whether ``answer`` is "right", "wrong", "unparsed", or beyond "timeout" or "memory"."""
        written = notation(answer)
        if not written:
            return "unparsed"
        if written == notation(gold):
            return "right"
        return self._comparer.compare(gold, answer)

    def close(self) -> None:
        """End the comparing process; the next pair that needs one starts another."""
        self._comparer.close()


class _Comparer:
    """The comparing process, started when first needed and again after it was lost."""

    def __init__(self) -> None:
        self._using = threading.Lock()
        self._stream: frames.Stream | None = None
        self._stop: Callable[[], object] = lambda: None
        self._numbers = count(1)

    def compare(self, gold: str, answer: str) -> str:
        """What the process says; "timeout" if it says nothing."""
        with self._using:
            for _ in range(ATTEMPTS):
                try:
                    stream = self._stream or self._start()
                    number = next(self._numbers)
                    stream.send([number, gold, answer])
                    replied, verdict = stream.receive()
                    if replied == number:
                        return str(verdict)
                    self.close()  # a reply to nothing that was asked: ask a fresh process
                except TimeoutError:
                    self.close()
                    return "timeout"
                except (OSError, EOFError, ValueError):
                    self.close()
        raise RuntimeError("the process that compares answers does not run; see its message above")

    def _start(self) -> frames.Stream:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        limits = json.dumps({"seconds": SECONDS, "megabytes": MEGABYTES})
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, str(theirs.fileno()), limits],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._stop = weakref.finalize(self, _stop, os.getpid(), process, ours)
        self._stream = frames.Stream(ours.recv, ours.send)
        if self._stream.receive() != "ready":
            raise ValueError
        return self._stream

    def close(self) -> None:
        """End the process."""
        self._stop()
        self._stream = None


def _stop(owner: int, process: subprocess.Popen[bytes], stream: socket.socket) -> None:
    stream.close()
    if os.getpid() != owner:  # a forked child ends, not whom the process belongs to
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2 * SECONDS)
    process.kill()
    process.wait()
