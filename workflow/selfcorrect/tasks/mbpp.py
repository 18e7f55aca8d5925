"""MBPP, Mostly Basic Python Problems (Austin et al. 2021), in full or sanitized.

A problem is a sentence with three tests (the sanitized set: three to seven); the model is shown
all of them, and a program that passes them is right. The splits are the authors', by task id. The
``challenge_test_list`` that some problems have is not used, since the model is not shown it.

A deviation: a module that the tests use and only the gold program imports (`sys`, in task 596) is
imported for the tests, so that no program is wrong for lack of an import that it has no use for.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence, Set
from functools import cached_property

from pydantic import AliasChoices, Field

from selfcorrect import prompts
from selfcorrect.grading.extraction import extract
from selfcorrect.grading.programs import HERE, Workplace
from selfcorrect.records import Problem, ProgramTests
from selfcorrect.spec.programs import (
    MBPP_PROBLEMS,
    MBPP_SANITIZED_PROBLEMS,
    MBPP_SPLITS,
    MBPPProblems,
)
from selfcorrect.spec.source import Source
from selfcorrect.tasks.benchmark import Record, fault, read_source
from selfcorrect.tasks.programming import ProgramTask
from selfcorrect.tasks.task import Split

IDS = range(1, MBPP_PROBLEMS + 1)  # all of them; the sanitized set has some


class MBPPRecord(Record):
    """A problem in either file: the full set names its sentence `text`, the other `prompt`."""

    task_id: int
    text: str = Field(validation_alias=AliasChoices("text", "prompt"))
    code: str
    test_list: list[str]
    test_setup_code: str = ""  # full set: may use classes of the program
    test_imports: list[str] = Field(default_factory=list)  # sanitized set


class MBPP(ProgramTask):
    """The task."""

    prompts = prompts.MBPP

    def __init__(self, data: MBPPProblems, workplace: Workplace = HERE) -> None:
        super().__init__(program, data.sandbox, workplace)
        self.data = data

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, by task id.

        Raises:
            FileProblem: the file is not there, or not the one that the config says.
        """
        return [self._problems[id] for id in MBPP_SPLITS[split] if id in self._problems]

    @cached_property
    def _problems(self) -> dict[int, Problem]:
        count = MBPP_SANITIZED_PROBLEMS if self.data.sanitized else MBPP_PROBLEMS
        records = read_source(self.data.rows, MBPPRecord, count)
        for record in records:
            if record.task_id not in IDS:
                what = f"task_id {record.task_id} is not one of MBPP's, 1 to {IDS[-1]}"
                raise fault(self.data.rows, what)
        return {record.task_id: as_problem(record, self.data.rows) for record in records}


def program(problem: Problem, text: str) -> str | None:
    """The program in an attempt; None if there is none that can be read."""
    assert problem.tests is not None
    return extract(text, problem.tests.entry_point)


def as_problem(record: MBPPRecord, source: Source) -> Problem:
    """A problem with its tests; ``source`` is what to blame.

    Raises:
        FileProblem: the program or the tests are not Python, or have nothing to do with each other.
    """
    code = unix(record.code)
    shown = "\n".join(unix(test).strip() for test in record.test_list)
    asserts = f"{unix(record.test_setup_code)}\n{shown}".lstrip()
    where = f"task_id {record.task_id}"
    gold = _parsed(code, source, f"{where}: `code`")
    calls = _parsed(asserts, source, f"{where}: `test_list`")
    _parsed("\n".join(record.test_imports), source, f"{where}: `test_imports`")
    entry_point = called(calls, gold)
    if entry_point is None:
        raise fault(source, f"{where}: `test_list` calls no function that `code` defines")
    used = {node.id for node in ast.walk(calls) if isinstance(node, ast.Name)}
    tests = ProgramTests(
        entry_point,
        code=asserts,
        context="\n".join(dict.fromkeys([*record.test_imports, *imports(gold, used)])),
        names=tuple(name for name in definitions(gold) if name in used - {entry_point}),
    )
    question = f"{unix(record.text)} Your code should pass these tests:\n\n{shown}"
    return Problem(f"MBPP/{record.task_id}", question, code, level="", tests=tests)


def unix(text: str) -> str:
    """Text with plain line ends; the full set has those of Windows."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parsed(text: str, source: Source, what: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gold programs have escapes like "\w"
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise fault(source, f"{what} is not Python ({error})") from error


def definitions(gold: ast.Module) -> list[str]:
    """The functions and classes of the gold program."""
    return [node.name for node in gold.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def called(tests: ast.Module, gold: ast.Module) -> str | None:
    """The first function of the gold program that the tests call; of nested calls the outermost."""
    functions = {node.name for node in gold.body if isinstance(node, ast.FunctionDef)}
    calls = (
        node.func.id
        for node in ast.walk(tests)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    return next((name for name in calls if name in functions), None)


def imports(gold: ast.Module, used: Set[str]) -> Iterator[str]:
    """The imports of the gold program that bind one of the names ``used`` by the tests."""
    for statement in gold.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            bound = {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
            if bound & used:
                yield ast.unparse(statement)
