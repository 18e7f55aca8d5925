"""Wrong attempts by another writer, for a model to repair: a JSON line each (the paper's MBPP-R).

Keys: ``problem``, the id of a problem, and ``text``, the attempt.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from selfcorrect import files
from selfcorrect.records import Grade, Problem, Verdict
from selfcorrect.tasks.benchmark import fault, read_values


def is_wrong(grade: Grade) -> bool:
    """Whether an attempt is there to be repaired: a whole one that is not right."""
    return grade.verdict not in (Verdict.RIGHT, Verdict.UNPARSED, Verdict.TRUNCATED)


def read_given(path: Path, problems: Iterable[Problem]) -> list[tuple[Problem, str]]:
    """The attempts of a file with their problems, which must be among ``problems``.

    Raises:
        FileProblem: the file is not there, or a line is not as it should be; names the line.
    """
    known = {problem.id: problem for problem in problems}
    given: dict[str, str] = {}
    for where, line in read_values(path):
        keys = {"problem", "text"}
        if not isinstance(line, dict) or not all(isinstance(line.get(key), str) for key in keys):
            raise fault(path, f"{where}: not an object with texts `problem` and `text`")
        if line["problem"] not in known:
            raise fault(path, f"{where}: no problem is called {line['problem']!r}")
        if line["problem"] in given:
            raise fault(path, f"{where}: {line['problem']!r} is there twice")
        given[line["problem"]] = line["text"]
    return [(known[id_], text) for id_, text in given.items()]


def write_given(path: Path, given: Sequence[tuple[Problem, str]]) -> None:
    """Write such a file, whole or not at all."""
    lines = [json.dumps({"problem": problem.id, "text": text}) + "\n" for problem, text in given]
    with files.replacing(path) as temporary:
        temporary.write_text("".join(lines))
