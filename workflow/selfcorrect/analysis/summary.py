"""Every number of the tables and figures: metrics with intervals per task, method and decoding."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from selfcorrect.analysis import metrics, statistics
from selfcorrect.analysis.metrics import Outcomes, Shares
from selfcorrect.analysis.results import DECODINGS, Grades, Place, other_problems
from selfcorrect.analysis.statistics import Comparison, Estimate
from selfcorrect.records import Verdict
from selfcorrect.reporting import MethodRow, ReportJob

REFERENCES = ("base", "score")  # the methods that others are compared with
OTHERS = " Where some of several seeds are missing, what is shown is of the others."


@dataclass(frozen=True, slots=True)
class Summary:
    """One method on one task under one decoding; all estimates are in percent of problems.

    ``metrics``: by name, those of ``metrics.per_problem`` and ``delta``. ``turns``: accuracy of
    each attempt that every seed has. ``gain``: the last one's minus the first one's. ``later``:
    the last one's minus the second one's, where there are more than two. ``pass_at``: pass@k of
    first and second attempts, by k. ``verdicts``: how many attempts of all turns and seeds got
    each. ``against``: by ``REFERENCES``, t1 and t2 compared with that method's; without the method
    itself and what is not there.
    """

    task: str
    method: MethodRow
    decoding: str
    problems: int
    samples: int
    seeds: tuple[int, ...]
    metrics: Mapping[str, Estimate]
    turns: tuple[Estimate, ...]
    gain: Estimate
    later: Estimate | None
    pass_at: Mapping[int, tuple[Estimate, ...]]
    verdicts: Mapping[str, int]
    against: Mapping[str, Mapping[str, Comparison]]

    @property
    def truncated_attempts(self) -> int:
        """Attempts of all turns and seeds that ran into the token limit."""
        return self.verdicts.get(Verdict.TRUNCATED.value, 0)


@dataclass(frozen=True, slots=True)
class Report:
    """All summaries, in the order of the spec, and the graders.

    ``missing``: the places that had no grades; ``untaught``: those that had nothing to learn from.
    """

    spec: ReportJob
    summaries: tuple[Summary, ...]
    missing: tuple[Place, ...]
    untaught: tuple[Place, ...]
    graders: tuple[str, ...]

    def of(self, table: str, decoding: str | None = None) -> list[Summary]:
        """The summaries that a table shows."""
        return [
            summary
            for summary in self.summaries
            if table in summary.method.tables and decoding in (None, summary.decoding)
        ]

    def repair(self, summary: Summary) -> Summary | None:
        """The same method's repairs of another writer's attempts, if there were any."""
        found = (of for of in self.summaries if of.decoding == "repair"
                 and (of.task, of.method) == (summary.task, summary.method))  # fmt: skip
        return next(found, None)

    def with_more_attempts(self, decoding: str | None = None) -> list[Summary]:
        """The summaries of methods that were given more than two attempts."""
        return [
            summary
            for summary in self.summaries
            if summary.later is not None and decoding in (None, summary.decoding)
        ]

    def sampled(self) -> list[Summary]:
        """The summaries of traces that were drawn at a temperature."""
        return [summary for summary in self.summaries if summary.decoding == "sampled"]

    def seeds_in_words(self) -> str:
        """Which seeds, for captions."""
        seeds = self.spec.seeds
        return f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of {len(seeds)} seeds"

    def missing_in_words(
        self, table: str | None = None, tasks: Sequence[str] | None = None
    ) -> list[str]:
        """A sentence that names what had no grades, or nothing; of all methods or of a table's, on
        all tasks or on some."""
        names = self._in_words(self.missing, table, tasks)
        return [f"Missing, no grades: {names}.{OTHERS}"] if names else []

    def untaught_in_words(
        self, table: str | None = None, tasks: Sequence[str] | None = None
    ) -> list[str]:
        """The same of what had no traces to learn from."""
        names = self._in_words(self.untaught, table, tasks)
        if not names:
            return []
        return [f"No traces to learn from, so the model that it starts from: {names}."]

    def unsafe_in_words(self) -> list[str]:
        """A sentence where a model's programs were run behind too little, which could reward tricks
        or do harm; a grader's name tells what there was."""
        unsafe = "; ".join(grader for grader in self.graders if "UNSAFE" in grader)
        return [f"Programs were executed without a safe sandbox: {unsafe}."] if unsafe else []

    def cautions(self, table: str | None = None, tasks: Sequence[str] | None = None) -> list[str]:
        """All that a reader must know of what is missing, untaught or unsafe, in sentences."""
        return [
            *self.missing_in_words(table, tasks),
            *self.untaught_in_words(table, tasks),
            *self.unsafe_in_words(),
        ]

    def _in_words(
        self, places: Sequence[Place], table: str | None, tasks: Sequence[str] | None
    ) -> str:
        shown = {row.name for row in self.spec.methods if table is None or table in row.tables}
        return "; ".join(
            f"{self.label(place.node)} ({place.task}, seed {place.seed})"
            for place in places
            if place.node in shown and (tasks is None or place.task in tasks)
        )

    def some_seeds(self, there: int) -> str:
        """Of how many seeds something is, where that is not all of them."""
        wanted = len(self.spec.seeds)
        return f"{there} of {wanted} seeds" if there < wanted else ""

    def mark(self, of: Summary) -> str:
        """What a figure must say of a method where it draws it: seeds that are not what they seem.

        Empty where all are there and learned something.
        """
        idle = sum((at.task, at.node) == (of.task, of.method.name) for at in self.untaught)
        learned = f"{idle} of {len(of.seeds)} learned nothing" if idle else ""
        return ", ".join(filter(None, (self.some_seeds(len(of.seeds)), learned)))

    def label(self, node: str) -> str:
        """What tables and figures call a method, or one that it was trained from."""
        shown = {row.name: row.label for row in self.spec.methods}
        return (self.spec.trained | shown).get(node, node)

    def on(
        self, methods: Collection[str] | None = None, tasks: Collection[str] | None = None
    ) -> str:
        """Tasks with their number of problems, for captions: all, or of some methods, or some."""
        asked = (
            of
            for of in self.summaries
            if (methods is None or of.method.name in methods)
            and (tasks is None or of.task in tasks)
        )
        return on_tasks({of.task: of.problems for of in asked if of.decoding == "greedy"})


def on_tasks(problems: Mapping[str, int]) -> str:
    """Tasks with their number of problems, for captions."""
    said = [f"{task} ({count} problems)" for task, count in problems.items()]
    return " and ".join(filter(None, (", ".join(said[:-1]), *said[-1:]))) or "no task"


def holm_against(
    shown: Sequence[Summary], reference: str, methods: Sequence[str]
) -> dict[tuple[str, str], float]:
    """By task and method: Holm's p of t2 against a reference's, over ``methods``.

    The family has all of them, whatever part of it is finished.
    """
    family = [name for name in methods if name != reference]
    found: dict[tuple[str, str], float] = {}
    for task in dict.fromkeys(summary.task for summary in shown):
        compared = {summary.method.name: summary.against[reference]["t2"].p
                    for summary in shown
                    if summary.task == task and reference in summary.against}  # fmt: skip
        adjusted = statistics.holm([compared.get(name, 1.0) for name in family])
        found |= {(task, name): p for name, p in zip(family, adjusted, strict=True)
                  if name in compared}  # fmt: skip
    return found


def most_turns(summaries: Sequence[Summary]) -> int:
    """The largest number of attempts; 2 for no summaries."""
    return max((len(summary.turns) for summary in summaries), default=2)


def summarise(grades: Mapping[Place, Grades], spec: ReportJob) -> Report:
    """Metrics of all methods that have grades.

    Raises:
        FileProblem: models that are compared were not graded on the same problems.
    """
    summaries = []
    for task in spec.tasks:
        for decoding in DECODINGS:
            _check_same_problems(grades, task, decoding)
        for row in spec.methods:
            for decoding in DECODINGS:
                found, *others = (
                    by_seed(grades, spec.seeds, task, name, decoding)
                    for name in (row.name, *REFERENCES)
                )
                if found:
                    references = dict(zip(REFERENCES, others, strict=True))
                    summaries.append(_summary(task, row, decoding, found, references))
    missing = [
        place
        for task in spec.tasks
        for row in spec.methods
        for seed in spec.seeds
        if (place := Place(task, row.name, seed)) not in grades
    ]
    untaught = sorted(where for where, found in grades.items() if found.untaught)
    graders = sorted({found.grader for found in grades.values()})
    return Report(spec, tuple(summaries), tuple(missing), tuple(untaught), tuple(graders))


def by_seed(
    grades: Mapping[Place, Grades], seeds: Sequence[int], task: str, node: str, decoding: str
) -> dict[int, Outcomes]:
    """By seed, a method's attempts of one decoding, where there are any."""
    return {
        seed: grades[place].outcomes[decoding]
        for seed in seeds
        if (place := Place(task, node, seed)) in grades and decoding in grades[place].outcomes
    }


def _check_same_problems(grades: Mapping[Place, Grades], task: str, decoding: str) -> None:
    there = [
        found
        for place, found in sorted(grades.items())
        if place.task == task and decoding in found.outcomes
    ]
    for found in there[1:]:
        expected = there[0].outcomes[decoding].problems
        if not np.array_equal(found.outcomes[decoding].problems, expected):
            raise other_problems(found.path, there[0].path)


def _summary(
    task: str,
    row: MethodRow,
    decoding: str,
    found: Mapping[int, Outcomes],
    references: Mapping[str, Mapping[int, Outcomes]],
) -> Summary:
    shares = stacked(found)
    first = next(iter(found.values()))
    accuracies = [metrics.accuracy_by_turn(of) for of in found.values()]
    turns = min(of.shape[1] for of in accuracies)  # a seed may have had fewer attempts
    by_turn = np.stack([of[:, :turns] for of in accuracies])  # (S, n, T)
    estimates = {name: statistics.share(values) for name, values in shares.items()}
    estimates["delta"] = statistics.difference(shares["t2"] - shares["t1"])
    return Summary(
        task=task,
        method=row,
        decoding=decoding,
        problems=len(first.problems),
        samples=first.right.shape[1],
        seeds=tuple(found),
        metrics={name: estimate.percent() for name, estimate in estimates.items()},
        turns=tuple(statistics.share(by_turn[..., turn]).percent()
                    for turn in range(by_turn.shape[-1])),
        gain=_gain(by_turn, since=0),
        later=_gain(by_turn, since=1) if turns > 2 else None,
        pass_at=_pass_at(found),
        verdicts=sum((Counter(of.verdicts) for of in found.values()), Counter()),
        against={
            name: _against(found, theirs, shared)
            for name, theirs in references.items()
            if name != row.name and (shared := [seed for seed in found if seed in theirs])
        },
    )  # fmt: skip


def stacked(found: Mapping[int, Outcomes]) -> dict[str, Shares]:
    """Each metric's shares per problem of all seeds, (S, n)."""
    seeds = [metrics.per_problem(of) for of in found.values()]
    return {name: np.stack([seed[name] for seed in seeds]) for name in seeds[0]}


def _pass_at(found: Mapping[int, Outcomes]) -> dict[int, tuple[Estimate, ...]]:
    seeds = [metrics.chances_of_one_right(of) for of in found.values()]
    ks = set.intersection(*(set(seed) for seed in seeds))  # a seed may have had fewer samples
    chances = {k: np.stack([seed[k] for seed in seeds]) for k in sorted(ks)}  # (S, n, 2)
    return {
        k: tuple(statistics.share(values[..., turn]).percent() for turn in range(2))
        for k, values in chances.items()
    }


def _gain(by_turn: Shares, since: int) -> Estimate:
    return statistics.compare(by_turn[..., -1], by_turn[..., since]).difference.percent()


def _against(
    found: Mapping[int, Outcomes], others: Mapping[int, Outcomes], seeds: Sequence[int]
) -> dict[str, Comparison]:
    ours = stacked({seed: found[seed] for seed in seeds})
    theirs = stacked({seed: others[seed] for seed in seeds})

    def aligned(values: Sequence[float]) -> tuple[float, ...]:
        """In the order of all seeds that are found; NaN for those that cannot be compared."""
        of = dict(zip(seeds, values, strict=True))
        return tuple(of.get(seed, np.nan) for seed in found)

    compared = {turn: statistics.compare(ours[turn], theirs[turn]) for turn in ("t1", "t2")}
    return {
        turn: replace(
            of,
            difference=replace(of.difference, per_seed=aligned(of.difference.per_seed)),
            p_per_seed=aligned(of.p_per_seed),
        )
        for turn, of in compared.items()
    }
