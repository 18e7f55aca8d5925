"""What a task must offer, and what a testbed offers on top."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from selfcorrect.prompts import Prompts
from selfcorrect.records import Grade, Problem, Submission, Trace
from selfcorrect.spec.kinds import Instruction

Split = Literal["train", "validation", "test"]
NO_ERROR, UNREADABLE, OTHER_ERROR = "none", "unreadable", "other"


class Task(Protocol):
    """Problems with their texts and their verdicts."""

    prompts: Prompts

    @property
    def grader(self) -> str:
        """The grader's version, and what else its verdicts depend on."""
        ...

    def problems(self, split: Split) -> Sequence[Problem]:
        """All problems of a split, always in the same order; no problem is in two splits."""
        ...

    def repairs(self) -> Sequence[tuple[Problem, str]]:
        """Problems with another writer's wrong attempt; none are training problems."""
        ...

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """The verdict on each; a gold answer's is ``right``. Many at once cost least."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A pretraining document: a question, attempts at it, and what is said between them."""

    question: str
    attempts: tuple[str, ...]
    instruction: Instruction


class Testbed(Task, Protocol):
    """A task that can also write the corpus its tiny base model is pretrained on."""

    def alphabet(self) -> Sequence[str]:
        """The pieces that questions and attempts are made of: the tokens of the tiny model."""
        ...

    def documents(self, rng: np.random.Generator, count: int) -> Iterator[Document]:
        """Random documents; none is about a validation or test problem."""
        ...


@runtime_checkable
class KnowsErrors(Protocol):
    """A task that can tell what is wrong with an attempt, as it knows who makes which mistakes."""

    def errors(self, submissions: Sequence[Submission]) -> list[str]:
        """The kind of mistake in each attempt; ``NO_ERROR`` where there is none."""
        ...


def grade_traces(task: Task, traces: Sequence[Trace]) -> list[list[Grade]]:
    """The verdict on every attempt of every trace."""
    submissions = [
        Submission(trace.problem, attempt.text, attempt.truncated)
        for trace in traces
        for attempt in trace.attempts
    ]
    grades = iter(task.grade(submissions))
    return [[next(grades) for _ in trace.attempts] for trace in traces]
