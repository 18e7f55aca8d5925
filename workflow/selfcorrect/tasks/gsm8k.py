"""GSM8K (Cobbe et al. 2021): word problems for grade-school pupils, whose answers are numbers."""

from selfcorrect.records import Problem
from selfcorrect.spec.mathematics import GSM8K_TEST, GSM8K_TRAIN, GSM8KProblems
from selfcorrect.spec.source import Source
from selfcorrect.tasks.benchmark import Record, fault
from selfcorrect.tasks.solving import SolvingTask, held_out, read_problems
from selfcorrect.tasks.task import Split

MARK = "####"  # before the answer, at the end of a solution


class GSM8KRecord(Record):
    """A problem as its files or the Hub have it."""

    task_id: int | str | None = None
    question: str
    answer: str  # the solution


class GSM8K(SolvingTask):
    """The task."""

    def __init__(self, data: GSM8KProblems) -> None:
        super().__init__()
        self.data = data

    def read(self) -> dict[Split, list[Problem]]:
        """Read all splits."""
        data = self.data
        test = read_problems(data.test_rows, GSM8KRecord, GSM8K_TEST, "test", as_problem)
        rest = read_problems(data.train_rows, GSM8KRecord, GSM8K_TRAIN, "train", as_problem)
        train, validation = held_out(rest, data.validation, data.seed)
        return {"train": train, "validation": validation, "test": test}


def as_problem(record: GSM8KRecord, name: str, source: Source) -> Problem:
    """A problem with the answer behind the mark; its level is how many lines its solution has.

    Raises:
        FileProblem: the solution has no mark, or nothing behind it.
    """
    solution, mark, answer = record.answer.rpartition(MARK)
    if not mark or not answer.strip():
        raise fault(source, f"{name}: `answer` does not end with {MARK} and a number")
    steps = len(solution.strip().splitlines())
    return Problem(name, record.question, answer.strip().replace(",", ""), str(steps))
