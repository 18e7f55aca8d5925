"""Reading what the workflow left: grades and training logs, with the place each belongs to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from selfcorrect import files
from selfcorrect.analysis.metrics import Outcomes, in_order, outcomes
from selfcorrect.provenance import SIDECAR
from selfcorrect.tracefile import read_table

COLUMNS = (
    "problem", "question", "level", "decoding", "sample", "turn", "text", "answer", "gold",
    "verdict", "grader", "error",
)  # fmt: skip
DECODINGS = ("greedy", "sampled", "repair")


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Where a result belongs: ``results/<task>/<node>/seed<k>/<file>``."""

    task: str
    node: str
    seed: int

    def __str__(self) -> str:
        return f"{self.task}/{self.node}/seed{self.seed}"


@dataclass(frozen=True, slots=True)
class Grades:
    """A model's graded attempts: a row each, and as outcomes by decoding; their file and grader.

    ``untaught``: fine-tuned on no traces in any round, it is the model that it started from.
    """

    path: Path
    attempts: pd.DataFrame
    outcomes: Mapping[str, Outcomes]
    grader: str
    untaught: bool


def place(path: Path) -> Place:
    """The task, node and seed in the last three folders of ``path``.

    Raises:
        FileProblem: they are not there.
    """
    *_, task, node, seed, _ = ("", "", "", *path.parts)
    number = seed.removeprefix("seed")
    if not (task and node and seed.startswith("seed") and number.isdigit()):
        raise files.FileProblem(f"{path}: not of the form .../<task>/<node>/seed<k>/<file>")
    return Place(task, node, int(number))


def read_attempts(path: Path) -> pd.DataFrame:
    """Graded attempts, a row each; ``error`` is there where the task can tell mistakes apart.

    Raises:
        FileProblem: the file is missing or damaged.
    """
    return read_table(path, COLUMNS).to_pandas()


def read_all_attempts(paths: Iterable[Path]) -> dict[Place, pd.DataFrame]:
    """The graded attempts of many models; a file without any counts as not there.

    Raises:
        FileProblem: a file is missing or damaged, its attempts are not complete, or are at other
            problems than those of another model of the task.
    """
    found: dict[Place, pd.DataFrame] = {}
    asked: dict[str, tuple[Path, list[str]]] = {}
    for path in paths:
        attempts, where = read_attempts(path), place(path)
        if not len(attempts):
            continue
        for decoding in attempts["decoding"].unique():
            try:
                problems, order = in_order(attempts[attempts["decoding"] == decoding])
            except ValueError as error:
                raise files.damaged(path, f"{decoding}: {error}") from error
            if order.shape[2] < 2:
                raise files.damaged(path, f"{decoding}: fewer than two attempts per problem")
            first, expected = asked.setdefault(where.task, (path, problems.tolist()))
            if problems.tolist() != expected:
                raise other_problems(path, first)
        found[where] = attempts
    return found


def other_problems(path: Path, than: Path) -> files.FileProblem:
    """What two models that were graded on different problems are refused with."""
    return files.FileProblem(
        f"{path}: graded on other problems than {than}, so the two cannot be compared. Delete the "
        "older one and run the same command again."
    )


def read_grades(path: Path) -> Grades | None:
    """The graded attempts of one model; None where there are none at all.

    Raises:
        FileProblem: the file is missing or damaged, or its attempts are not complete.
    """
    table = read_attempts(path)
    if not len(table):
        return None
    found = [decoding for decoding in DECODINGS if (table["decoding"] == decoding).any()]
    if "greedy" not in found:
        raise files.damaged(path, "no greedy attempts")
    try:
        by_decoding = {decoding: outcomes(table, decoding) for decoding in found}
        grader = str(table["grader"].iloc[0])
        return Grades(path, table, by_decoding, grader, _untaught(path))
    except ValueError as error:
        raise files.damaged(path, str(error)) from error


def _untaught(grades: Path) -> bool:
    *_, node, seed, _ = grades.parts
    rounds = grades.parents[2].glob(f"{node}.round*/{seed}/model/{SIDECAR}")
    own = grades.parent / "model" / SIDECAR
    return own.is_file() and all(
        files.read_json(record).get("traces") == 0 for record in (own, *rounds)
    )


def read_all_grades(paths: Iterable[Path]) -> dict[Place, Grades]:
    """The graded attempts of many models; a file without any counts as not there."""
    read = ((place(path), read_grades(path)) for path in paths)
    return {where: grades for where, grades in read if grades is not None}


def read_log(path: Path) -> pd.DataFrame:
    """A training log, one row per step in order; a step that was run again counts as last run.

    Raises:
        FileProblem: the file is missing, or a line is not a step.
    """
    try:
        lines = list(files.read_json_lines(path))
        log = pd.DataFrame(lines, columns=None if lines else ["step"])
        return log.drop_duplicates("step", keep="last").sort_values("step", ignore_index=True)
    except (ValueError, KeyError) as error:
        raise files.damaged(path, f"a line is not a training step: {error}") from error


def read_all_logs(paths: Iterable[Path]) -> dict[Place, pd.DataFrame]:
    """The training logs of many models."""
    return {place(path): read_log(path) for path in paths}
