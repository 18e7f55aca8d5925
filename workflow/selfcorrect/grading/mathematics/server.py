"""The process that compares answers: a warm interpreter whose child does it, under limits.

    python -P -m selfcorrect.grading.mathematics.server FD '{"seconds": 2, "megabytes": 1024}'

sympy's time for a pair has no bound, and the arithmetic of large numbers cannot be interrupted. So
the child sets itself a timer of CPU time, at whose end the kernel kills it, and this process says
so and makes another child, in milliseconds. Both end when whoever asks is gone.

Questions have numbers, and a reply has that of its question: a child that something else kills
between two of them leaves a reply behind too, which must not be taken for one to the next.
"""

import gc
import json
import mmap
import os
import resource
import signal
import sys
from typing import NoReturn

from selfcorrect.grading import frames
from selfcorrect.grading.mathematics.equality import UnreadableError, same

NUMBER = 8  # bytes of a question's number


def main() -> NoReturn:
    """Get warm, then answer until there are no more questions."""
    descriptor, limits = int(sys.argv[1]), json.loads(sys.argv[2])
    stream = frames.over(descriptor)
    same("x^2-1", "(x-1)(x+1)")
    gc.collect()
    gc.freeze()
    stream.send("ready")
    last = mmap.mmap(-1, NUMBER)  # the number of the question that a child had last
    while True:
        pid = os.fork()
        if pid == 0:
            _serve(frames.over(descriptor), last, **limits)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            os._exit(0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
        stream.send([int.from_bytes(last[:]), "timeout" if killed else "memory"])


def _serve(stream: frames.Stream, last: mmap.mmap, seconds: float, megabytes: int) -> NoReturn:
    """Answer "right", "wrong" or "unparsed" to pairs of a gold answer and an answer."""
    resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.set_int_max_str_digits(100_000)
    while True:
        try:
            number, gold, answer = stream.receive()
        except EOFError:
            os._exit(0)
        last[:] = number.to_bytes(NUMBER)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            verdict = "right" if same(gold, answer) else "wrong"
        except UnreadableError:
            verdict = "unparsed"
        except MemoryError:
            os._exit(1)
        except Exception:  # whatever a parser stumbles over
            verdict = "unparsed"
        signal.setitimer(signal.ITIMER_PROF, 0)
        stream.send([number, verdict])


if __name__ == "__main__":
    main()
