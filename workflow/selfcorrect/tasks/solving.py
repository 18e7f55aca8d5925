"""What tasks have in common whose attempts are solutions with a final answer."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from selfcorrect import prompts, seeds
from selfcorrect.files import FileProblem
from selfcorrect.grading.mathematics.judge import MathGrader
from selfcorrect.records import Problem
from selfcorrect.spec.source import Source
from selfcorrect.tasks.benchmark import AnyRecord, read_source
from selfcorrect.tasks.graded import GradedTask
from selfcorrect.tasks.task import Split


class SolvingTask(GradedTask, ABC):
    """A benchmark whose attempts are graded by their final answer."""

    prompts = prompts.MATH

    def __init__(self) -> None:
        super().__init__(MathGrader())

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, in the order of their files.

        Raises:
            FileProblem: a file or dataset is not there, or not the one that the config says.
        """
        return self._splits[split]

    @cached_property
    def _splits(self) -> Mapping[Split, Sequence[Problem]]:
        splits = self.read()
        ids = Counter(problem.id for of_split in splits.values() for problem in of_split)
        twice = next((name for name, count in ids.items() if count > 1), None)
        if twice is not None:
            raise FileProblem(
                f"task_id {twice!r} is there twice in the files of `data`, for two problems: their "
                "attempts could not be told apart. Take the ids out, or mend them."
            )
        return splits

    @abstractmethod
    def read(self) -> Mapping[Split, Sequence[Problem]]:
        """Read all splits."""


def read_problems(
    source: Source,
    kind: type[AnyRecord],
    count: int,
    name: str,
    as_problem: Callable[[AnyRecord, str, Source], Problem],
) -> list[Problem]:
    """The problems of a part of a benchmark; one without an id is called by ``name`` and place."""
    records = read_source(source, kind, count)
    return [as_problem(record, f"{name}/{at}", source) for at, record in enumerate(records)]


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
