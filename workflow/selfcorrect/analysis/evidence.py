"""All that figures and reports are drawn from, as files of a run hold it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from selfcorrect.analysis import voting
from selfcorrect.analysis.metrics import Outcomes, Shares
from selfcorrect.analysis.results import (
    Grades,
    Place,
    read_all_attempts,
    read_all_grades,
    read_all_logs,
)
from selfcorrect.analysis.summary import Report, by_seed, summarise
from selfcorrect.reporting import ReportJob

Votes = Mapping[int, tuple[Shares, Shares]]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Evidence:
    """A run's numbers, graded attempts and training logs, by the place each belongs to.

    ``voting``: sampled traces that vote. ``familiar``: attempts at training problems.
    ``snapshots``: attempts during fine-tuning. Each may lack any place.
    """

    report: Report
    grades: Mapping[Place, Grades]
    logs: Mapping[Place, pd.DataFrame] = field(default_factory=dict)
    voting: Mapping[Place, pd.DataFrame] = field(default_factory=dict)
    familiar: Mapping[Place, pd.DataFrame] = field(default_factory=dict)
    snapshots: Mapping[Place, pd.DataFrame] = field(default_factory=dict)
    _votes: dict[tuple[str, str], Votes] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def votes(self, task: str, method: str) -> Votes:
        """By budget that every seed has: accuracy of parallel and corrected votes, (S, n) each."""
        if (task, method) not in self._votes:
            self._votes[task, method] = self._count(task, method)
        return self._votes[task, method]

    def _count(self, task: str, method: str) -> Votes:
        counted = [voting.curves(of) for of in self.seeds(self.voting, task, method)]
        return {
            budget: (np.stack([of[budget][0] for of in counted]),
                     np.stack([of[budget][1] for of in counted]))
            for budget in (counted[0] if counted else ())
            if all(budget in of for of in counted)
        }  # fmt: skip

    def seeds(self, of: Mapping[Place, Found], task: str, node: str) -> list[Found]:
        """What is there of a method, over seeds."""
        return [
            of[place] for seed in self.report.spec.seeds if (place := Place(task, node, seed)) in of
        ]

    def outcomes(self, task: str, method: str, decoding: str = "greedy") -> dict[int, Outcomes]:
        """By seed, a method's graded attempts, where there are any."""
        return by_seed(self.grades, self.report.spec.seeds, task, method, decoding)

    def taught(self, task: str, method: str, decoding: str = "greedy") -> dict[int, Outcomes]:
        """``outcomes`` of what was trained on anything, or not trained at all."""
        return {
            seed: of
            for seed, of in self.outcomes(task, method, decoding).items()
            if Place(task, method, seed) not in self.report.untaught
        }

    def methods_with(self, of: Mapping[Place, pd.DataFrame], task: str) -> list[str]:
        """The methods of which something is there, in the report's order."""
        there = {place.node for place in of if place.task == task}
        return [row.name for row in self.report.spec.methods if row.name in there]


def read_evidence(
    job: ReportJob,
    grades: Iterable[Path],
    logs: Iterable[Path] = (),
    *,
    voting: Iterable[Path] = (),
    familiar: Iterable[Path] = (),
    snapshots: Iterable[Path] = (),
) -> Evidence:
    """Read a run's files.

    Raises:
        FileProblem: one is missing, damaged or not complete, or models were graded on different
            problems.
    """
    read = read_all_grades(grades)
    return Evidence(
        summarise(read, job),
        read,
        read_all_logs(logs),
        voting=read_all_attempts(voting),
        familiar=read_all_attempts(familiar),
        snapshots=read_all_attempts(snapshots),
    )
