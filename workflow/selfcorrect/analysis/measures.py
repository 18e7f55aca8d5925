"""What claims are decided by: differences between metrics, methods, attempts and votes.

Each function here makes one that takes the evidence and a task and gives the ``Comparison``, or
None where something that it needs is missing. Differences are paired: of the same problems, and of
the seeds that all of its methods have.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from selfcorrect.analysis import statistics
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.metrics import Shares, accuracy_by_turn
from selfcorrect.analysis.statistics import Comparison
from selfcorrect.analysis.summary import stacked
from selfcorrect.analysis.tracking import corrections

Measure = Callable[[Evidence, str], Comparison | None]


def on_common_seeds(
    evidence: Evidence, task: str, *methods: str, decoding: str = "greedy"
) -> list[dict[str, Shares]] | None:
    """Every metric of each method, (S, n), on the seeds that all of them have.

    One that had nothing to learn from says nothing of its method, and counts as not there.
    """
    found = [evidence.taught(task, method, decoding) for method in methods]
    common = sorted(set.intersection(*(set(of) for of in found)))
    return [stacked({seed: of[seed] for seed in common}) for of in found] if common else None


def _of(*methods: str, by: Callable[..., Comparison | None], decoding: str = "greedy") -> Measure:
    """What ``by`` makes of the metrics of some methods, given in that order."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        found = on_common_seeds(evidence, task, *methods, decoding=decoding)
        return None if found is None else by(*found)

    return measure


def of_one(method: str, gain: str, loss: str) -> Measure:
    """A difference between two metrics of one method."""
    return _of(method, by=lambda of: statistics.compare(of[gain], of[loss]))


def between(method: str, other: str, metric: str, decoding: str = "greedy") -> Measure:
    """A method's metric minus another's."""
    return _of(
        method,
        other,
        by=lambda ours, theirs: statistics.compare(ours[metric], theirs[metric]),
        decoding=decoding,
    )


def between_deltas(method: str, other: str) -> Measure:
    """A method's Δ(t1,t2) minus another's."""
    return _of(
        method,
        other,
        by=lambda ours, theirs: statistics.contrast(
            (ours["t2"] - ours["t1"]) - (theirs["t2"] - theirs["t1"])
        ),
    )


def changed(method: str) -> Measure:
    """The share of second attempts that are not the first one again."""

    def by(of: dict[str, Shares]) -> Comparison:
        compared = statistics.compare(np.ones_like(of["same"]), of["same"])
        # A share, which has no values below 0: its interval is not that of a difference.
        return replace(compared, difference=statistics.share(1 - of["same"]))

    return _of(method, by=by)


def correction_rates(method: str, other: str) -> Measure:
    """The share of wrong first attempts that the second puts right, a method's minus another's."""
    return _of(
        method,
        other,
        by=lambda *of: statistics.contrast_of_ratios(*((m["i_to_c"], 1 - m["t1"]) for m in of)),
    )


def later(method: str) -> Measure:
    """The last attempt's accuracy minus the second's."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        turns = [accuracy_by_turn(of) for of in evidence.taught(task, method).values()]
        last = min((of.shape[1] for of in turns), default=0)
        if last <= 2:
            return None
        by_turn = np.stack([of[:, :last] for of in turns])
        return statistics.compare(by_turn[..., -1], by_turn[..., 1])

    return measure


def best_of(method: str, rivals: Sequence[str]) -> Measure:
    """A method's t2 against that of every one of its ``rivals``, all at once.

    It is the best only if each comparison alone says so, so the largest p counts. It is not the
    best if one of them says so; since that one is picked from many, its p is Holm's. A rival that
    had nothing to learn from in any seed is the base, which is one too.
    """

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        compared = [between(method, name, "t2")(evidence, task) for name in rivals]
        found = [of for of in compared if of is not None]
        if not found or not all(evidence.outcomes(task, name) for name in (method, *rivals)):
            return None
        if all(of.difference.value > 0 for of in found):
            return max(found, key=lambda of: of.p)
        adjusted = statistics.holm([of.p for of in found])
        behind = [replace(of, p=p) for of, p in zip(found, adjusted, strict=True)
                  if of.difference.value <= 0]  # fmt: skip
        return min(behind, key=lambda of: (of.p, of.difference.value))

    return measure


def votes(method: str) -> Measure:
    """Votes of corrected samples against parallel ones, at the largest budget."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        found = evidence.votes(task, method)
        if not found:
            return None
        parallel, corrected = found[max(found)]
        return statistics.compare(corrected, parallel)

    return measure


def mismatch(method: str) -> Measure:
    """After fine-tuning: correction rate on the base's first attempts minus that on its own."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        seeds = [corrections(of) for of in evidence.seeds(evidence.snapshots, task, method)]
        last = [
            {whose: of[whose][max(of[whose])] for whose in of}
            for of in seeds
            if max(of["own"], default=0) > 0
        ]  # one that had nothing to learn from is the base
        if not last:
            return None
        terms = [
            (np.stack([of[whose].corrected for of in last]),
             np.stack([of[whose].wrong for of in last]))
            for whose in ("fixed", "own")
        ]  # fmt: skip
        return statistics.contrast_of_ratios(*terms)

    return measure
