"""What tasks have in common whose attempts are judged by one of the graders."""

from collections.abc import Sequence
from typing import Protocol

from selfcorrect.records import Grade, Problem, Submission


class Grader(Protocol):
    """Judges attempts; ``version`` says what its verdicts depend on."""

    @property
    def version(self) -> str:
        """The grader's version, and what else its verdicts depend on."""
        ...

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """The verdict on each."""
        ...


class GradedTask:
    """A task whose attempts go to a grader as they are."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader

    @property
    def grader(self) -> str:
        """The grader's version, and what else its verdicts depend on."""
        return self._grader.version

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """The grader's verdicts."""
        return self._grader.grade(submissions)

    def repairs(self) -> Sequence[tuple[Problem, str]]:
        """None, unless the task has some."""
        return []
