"""What tasks have in common whose answers are programs: they are graded by execution."""

from collections.abc import Sequence

from selfcorrect.grading.programs import Extract, ProgramGrader, Workplace
from selfcorrect.records import Grade, Problem, Submission
from selfcorrect.spec.sandbox import SandboxLimits


class ProgramTask:
    """A task whose attempts are graded by running the program in them."""

    def __init__(self, program: Extract, limits: SandboxLimits, workplace: Workplace) -> None:
        self._grader = ProgramGrader(program, limits, workplace)

    @property
    def grader(self) -> str:
        """The grader's version and the layers that programs are run behind."""
        return self._grader.version

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """The verdicts of the tests."""
        return self._grader.grade(submissions)

    def repairs(self) -> Sequence[tuple[Problem, str]]:
        """None, unless the task has some."""
        return []
