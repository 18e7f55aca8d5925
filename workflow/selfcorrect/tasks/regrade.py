"""Grading a whole trace file: every attempt with its verdict, as a table for analysis."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from selfcorrect import files
from selfcorrect.records import Problem, Submission
from selfcorrect.tasks.task import KnowsErrors, Split, Task
from selfcorrect.tracefile import read_table

if TYPE_CHECKING:
    import pyarrow as pa


def grades_table(attempts: Path, split: Split, task: Task, repaired: Task) -> "pa.Table":
    """Grade the attempts of a trace file.

    Args:
        attempts: the file.
        split: what its problems are of.
        task: whose they are.
        repaired: whose those are at which another writer's attempts were repaired.

    Returns:
        One row an attempt: problem, question, level, decoding, sample, turn, text, answer, gold,
        tokens (their number), truncated, verdict, reason, grader (its version), error (the kind of
        mistake, null where the task cannot tell).

    Raises:
        FileProblem: the file is damaged or speaks of a problem the task does not have.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = ["problem", "decoding", "sample", "turn", "tokens", "text", "truncated"]
    table = read_table(attempts, columns)
    repair = pc.equal(table["decoding"], "repair")
    parts = [_graded(attempts, table.filter(pc.invert(repair)), task, task.problems(split))]
    if pc.any(repair).as_py():
        others = [*repaired.problems(split), *(problem for problem, _ in repaired.repairs())]
        parts.append(_graded(attempts, table.filter(repair), repaired, others))
    return pa.concat_tables(parts, promote_options="default")


def _graded(attempts: Path, table: "pa.Table", task: Task, asked: Iterable[Problem]) -> "pa.Table":
    """The grades of some attempts at the problems of one task."""
    import pyarrow as pa
    import pyarrow.compute as pc

    problems = {problem.id: problem for problem in asked}
    ids = table["problem"].to_pylist()
    unknown = set(ids) - problems.keys()
    if unknown:
        raise files.FileProblem(
            f"{attempts}: problem {min(unknown)!r} is not in the task's data; "
            "delete the file and run again"
        )
    of = [problems[id_] for id_ in ids]
    texts, truncated = table["text"].to_pylist(), table["truncated"].to_pylist()
    submissions = [Submission(*each) for each in zip(of, texts, truncated, strict=True)]
    grades = task.grade(submissions)
    errors = task.errors(submissions) if isinstance(task, KnowsErrors) else [None] * len(grades)
    return pa.table(
        {
            "problem": table["problem"],
            "question": [problem.question for problem in of],
            "level": [problem.level for problem in of],
            "decoding": table["decoding"],
            "sample": table["sample"],
            "turn": table["turn"],
            "text": table["text"],
            "answer": pa.array([grade.answer for grade in grades], pa.string()),
            "gold": [problem.answer for problem in of],
            "tokens": pc.list_value_length(table["tokens"]),
            "truncated": table["truncated"],
            "verdict": [grade.verdict.value for grade in grades],
            "reason": pa.array([grade.reason for grade in grades], pa.string()),
            "grader": pa.repeat(task.grader, len(grades)),
            "error": pa.array(errors, pa.string()),
        }
    )
