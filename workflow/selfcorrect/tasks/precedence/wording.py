"""Problems and programs as text: questions, attempts, records with their tests."""

import re
import textwrap
from collections.abc import Sequence

from selfcorrect import prompts
from selfcorrect.records import Problem, ProgramTests
from selfcorrect.tasks.precedence.operations import (
    CLOSE,
    OPERATIONS,
    POINTS,
    Programs,
    Steps,
    applied,
    closings,
    needed,
)
from selfcorrect.tasks.precedence.solvers import exact_program

WORDS = [operation.words for operation in OPERATIONS]  # by step
PIECES = [close + operation.symbols for close in ("", ")") for operation in OPERATIONS]  # by entry

ENTRY_POINT = "f"
CALL = f"\ncheck({ENTRY_POINT})\n"
INDENT = "    "


def questions(steps: Steps) -> list[str]:
    """Problems in words: x, plus five, times three."""
    return ["x" + "".join(map(WORDS.__getitem__, row)) for row in steps.tolist()]


def texts(programs: Programs) -> list[str]:
    """Programs as a model writes them: return (x+5)*3."""
    opened = closings(programs).sum(axis=1).tolist()
    return [
        start(pairs) + "".join(map(PIECES.__getitem__, row))
        for pairs, row in zip(opened, programs.tolist(), strict=True)
    ]


def read_program(text: str, length: int) -> list[int] | None:
    """The program that a text is, in ``length`` entries; None where it has another form."""
    form = re.fullmatch(r"return (\(*)x((?:\)?[-+*][1-9])*)", text.strip())
    if form is None:
        return None
    written = re.findall(r"\)?[-+*][1-9]", form[2])
    if len(written) > length or not set(written) <= set(PIECES):
        return None
    program = [PIECES.index(piece) for piece in written]
    if form[1].count("(") != sum(entry >= CLOSE for entry in program):
        return None
    return program + [0] * (length - len(program))


def start(pairs: int) -> str:
    """How a program with so many pairs of parentheses begins: all of them open there."""
    return f"return {'(' * pairs}x"


def as_problems(steps: Steps) -> list[Problem]:
    """The records; a problem's id is its operations in order."""
    return [
        Problem(
            id="x" + "".join(map(PIECES.__getitem__, row)),
            question=question,
            answer=answer,
            level=str(level),
            tests=ProgramTests(ENTRY_POINT, _check(values) + CALL),
        )
        for row, question, answer, level, values in zip(
            steps.tolist(),
            questions(steps),
            texts(exact_program(steps)),
            needed(steps).sum(axis=1).tolist(),
            applied(steps, POINTS).tolist(),
            strict=True,
        )
    ]


def _check(values: Sequence[int]) -> str:
    """The function that asserts a candidate's ``values`` at the test points."""
    asserts = [
        f"{INDENT}assert candidate({x}) == {value}\n"
        for x, value in zip(POINTS.tolist(), values, strict=True)
    ]
    return "def check(candidate):\n" + "".join(asserts)


def humaneval_record(problem: Problem) -> dict[str, str]:
    """A problem as one line of HumanEval's file: prompt + canonical_solution + test + the call."""
    assert problem.tests is not None
    return {
        "task_id": problem.id,
        "prompt": _prompt(problem),
        "entry_point": problem.tests.entry_point,
        "canonical_solution": _body(problem.answer),
        "test": problem.tests.code.removesuffix(CALL),
    }


def program(problem: Problem, text: str) -> str:
    """The whole program that an attempt's text, the body however indented, completes."""
    return _prompt(problem) + _body(text)


def _prompt(problem: Problem) -> str:
    docstring = prompts.PRECEDENCE.opening(problem.question)
    return f'def {ENTRY_POINT}(x):\n{INDENT}"""{docstring}"""\n'


def _body(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text), INDENT) + "\n"
