"""MATH (Hendrycks et al. 2021): competition problems, graded by their final answers.

The split is the paper's, which is Lightman et al.'s: 500 problems of the test set, MATH-500, are
tested on; the other 4,500 are trained on with the 7,500 training problems. Two of these have an
empty box and are left out. A part of the 12,000 is held out for validation.
"""

from pydantic import AliasChoices, Field

from selfcorrect.grading.mathematics.final_answer import last_box
from selfcorrect.records import Problem
from selfcorrect.spec.mathematics import MATH_500, MATH_TEST, MATH_TRAIN, MathProblems
from selfcorrect.spec.source import Source
from selfcorrect.tasks.benchmark import Record, fault
from selfcorrect.tasks.solving import SolvingTask, held_out, read_problems
from selfcorrect.tasks.task import Split


class MathRecord(Record):
    """A problem as its files or the Hub have it."""

    task_id: int | str | None = Field(None, validation_alias=AliasChoices("unique_id", "task_id"))
    problem: str
    solution: str
    level: int | str  # "Level 3" or 3
    subject: str = Field(validation_alias=AliasChoices("subject", "type"))


class Math(SolvingTask):
    """The task."""

    def __init__(self, data: MathProblems) -> None:
        super().__init__()
        self.data = data

    def read(self) -> dict[Split, list[Problem]]:
        """Read all splits."""
        data = self.data
        math500 = read_problems(data.math500_rows, MathRecord, MATH_500, "math500", as_problem)
        tested = {problem.question for problem in math500}
        test = read_problems(data.test_rows, MathRecord, MATH_TEST, "test", as_problem)
        others = [problem for problem in test if problem.question not in tested]
        if len(others) != len(test) - len(tested):
            raise fault(data.math500_rows, "it has problems that are not among the test problems")
        rest = read_problems(data.train_rows, MathRecord, MATH_TRAIN, "train", as_problem) + others
        usable = [problem for problem in rest if problem.answer.strip()]
        train, validation = held_out(usable, data.validation, data.seed)
        if len(train) != data.train:
            raise fault(
                data.train_rows,
                f"{len(rest) - len(usable)} problems have an empty answer, and 2 should",
            )
        return {"train": train, "validation": validation, "test": math500}


def as_problem(record: MathRecord, name: str, source: Source) -> Problem:
    """A problem with the answer in the last box of its solution; its level names the subject too.

    Raises:
        FileProblem: the solution has no box.
    """
    called = name if record.task_id is None else str(record.task_id)
    answer = last_box(record.solution)
    if answer is None:
        raise fault(source, f"{called}: `solution` has no \\boxed answer")
    level = str(record.level).removeprefix("Level ")
    return Problem(called, record.problem, answer, f"{record.subject}, {level}")
