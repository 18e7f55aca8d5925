"""The nouns: problems, attempts, traces and verdicts. Imports nothing of the package."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What grading an attempt found. Only ``RIGHT`` is worth a reward."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSED = "unparsed"  # ended by itself, but holds no answer that can be read
    TRUNCATED = "truncated"  # ran into the token limit: not the same as wrong
    TIMEOUT = "timeout"  # neither right nor wrong was found in the time for it
    # of programs alone; WRONG is then a test that failed
    ERROR = "error"  # the program raised, or does not compile
    MEMORY = "out of memory"
    OUTPUT = "output limit"
    FORBIDDEN = "forbidden"  # tried what the sandbox does not allow


@dataclass(frozen=True, slots=True)
class ProgramTests:
    """What a program must pass: trusted code, which never enters the program's process.

    ``code`` calls the program's ``entry_point``, and fails by raising. ``context`` is trusted code
    that runs before it and defines what else the tests use. ``names`` are what else they use of
    the program's (a class of nodes, say); nothing but these and the entry point is taken from it.
    """

    entry_point: str
    code: str
    context: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A task's item: ``question`` is what the model is shown, ``answer`` the gold answer.

    Where answers are programs, ``answer`` is a program that passes the ``tests``.
    """

    id: str
    question: str
    answer: str
    level: str
    tests: ProgramTests | None = None


class Submission(NamedTuple):
    """What a grader is given: an attempt's text, and whether it ran into the token limit."""

    problem: Problem
    text: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict, the answer that was read off the attempt (None where there was none), and why."""

    verdict: Verdict
    answer: str | None
    reason: str | None = None

    @property
    def reward(self) -> float:
        """The paper's binary reward r(y, y*)."""
        return float(self.verdict is Verdict.RIGHT)


@dataclass(slots=True)
class Attempt:
    """One turn: what the model read since its last attempt, and what it wrote.

    ``prompt`` are the tokens between the end of the previous attempt and the start of this one
    (the whole first-turn prompt for turn 1, the rendered instruction later). ``tokens`` are the
    completion up to and with EOS; ``logprobs`` belongs to them one by one, at the sampling
    temperature. ``given`` marks an attempt that was handed to the model, not sampled from it.
    """

    prompt: Sequence[int]
    tokens: Sequence[int]
    logprobs: Sequence[float]
    text: str
    truncated: bool
    given: bool = False


@dataclass(slots=True)
class Trace:
    """A problem with its attempts in order: (x, y1, p1, y2, ...)."""

    problem: Problem
    sample: int
    attempts: list[Attempt] = field(default_factory=list)
