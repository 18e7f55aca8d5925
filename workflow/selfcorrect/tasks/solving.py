"""What tasks have in common whose attempts are solutions with a final answer."""

from collections.abc import Sequence

from selfcorrect import seeds
from selfcorrect.grading.mathematics.judge import MathGrader
from selfcorrect.records import Grade, Problem, Submission


class SolvingTask:
    """A task whose attempts are graded by their final answer."""

    def __init__(self) -> None:
        self._grader = MathGrader()

    @property
    def grader(self) -> str:
        """The grader's version."""
        return self._grader.version

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """Right if the final answer equals the gold answer."""
        return self._grader.grade(submissions)

    def repairs(self) -> Sequence[tuple[Problem, str]]:
        """None."""
        return []


def held_out(
    problems: Sequence[Problem], count: int, seed: int
) -> tuple[list[Problem], list[Problem]]:
    """The problems without ``count`` that are drawn from them, and these; both in order."""
    rng = seeds.generator(seed, "validation")
    drawn = set(rng.choice(len(problems), count, replace=False).tolist())
    return (
        [problem for at, problem in enumerate(problems) if at not in drawn],
        [problem for at, problem in enumerate(problems) if at in drawn],
    )
