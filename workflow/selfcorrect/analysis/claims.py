"""The paper's claims, each with the estimate that decides it and what came out.

A claim says of a difference that it is above 0, or below, or within a margin of 0, or at most so
large. It is *reproduced* where the data exclude the contrary at 5 %, *not reproduced* where they
exclude the claim, and *undecided* between. What was not run is *not tested*. Differences are in
points, of greedy attempts (votes: of sampled ones) at the same problems; tests are paired, over
problems for one seed and over seeds and problems for several (`statistics`). The claims about
ablations are a family, whose p-values are Holm's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from selfcorrect import paper
from selfcorrect.analysis import statistics
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.metrics import Shares, accuracy_by_turn
from selfcorrect.analysis.statistics import Comparison, Estimate, Interval
from selfcorrect.analysis.summary import stacked
from selfcorrect.analysis.tracking import corrections

Direction = Literal["above", "below", "within", "at most"]
Ruling = Literal["reproduced", "not reproduced", "undecided", "not tested"]
MARGIN = 2.0  # points: what counts as no difference
COPIED = 5.0  # percent of second attempts that may differ from the first where a model only copies
LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """``measure(evidence, task)`` gives the difference; None where something of it is missing.

    ``limit``: in points, of the directions ``within`` and ``at most``. ``view``: what evidence it
    needs besides the evaluation. ``programs``: it is about tasks alone whose answers are programs.
    """

    name: str
    text: str
    source: str
    measured: str
    direction: Direction
    measure: Callable[[Evidence, str], Comparison | None]
    limit: float = 0.0
    family: str = ""
    view: str = ""
    programs: bool = False

    @property
    def said(self) -> str:
        """What the claim says of what is measured."""
        signs = {"above": "> 0", "below": "< 0", "within": f"within ±{self.limit:g}",
                 "at most": f"≤ {self.limit:g}"}  # fmt: skip
        return signs[self.direction]


@dataclass(frozen=True)
class Finding:
    """What came out of a claim on a task; ``p`` is adjusted in a family.

    ``difference`` and its ``bootstrap`` interval are in points.
    """

    claim: Claim
    task: str
    verdict: Ruling
    difference: Estimate | None = None
    p: float | None = None
    bootstrap: Interval | None = None

    @property
    def seeds(self) -> int:
        """How many seeds it is of."""
        return len(self.difference.per_seed) if self.difference else 0


# --- what is measured ---------------------------------------------------------------------------


def on_common_seeds(
    evidence: Evidence, task: str, *methods: str, decoding: str = "greedy"
) -> list[dict[str, Shares]] | None:
    """Every metric of each method, (S, n), on the seeds that all of them have."""
    found = [evidence.outcomes(task, method, decoding) for method in methods]
    common = sorted(set.intersection(*(set(of) for of in found)))
    return [stacked({seed: of[seed] for seed in common}) for of in found] if common else None


def of_one(method: str, gain: str, loss: str) -> Callable[[Evidence, str], Comparison | None]:
    """A difference between two metrics of one method."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        found = on_common_seeds(evidence, task, method)
        return None if found is None else statistics.compare(found[0][gain], found[0][loss])

    return measure


def between(
    method: str, other: str, metric: str, decoding: str = "greedy"
) -> Callable[[Evidence, str], Comparison | None]:
    """A method's metric minus another's."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        found = on_common_seeds(evidence, task, method, other, decoding=decoding)
        return None if found is None else statistics.compare(found[0][metric], found[1][metric])

    return measure


def between_deltas(method: str, other: str) -> Callable[[Evidence, str], Comparison | None]:
    """A method's Δ(t1,t2) minus another's."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        found = on_common_seeds(evidence, task, method, other)
        if found is None:
            return None
        ours, theirs = (of["t2"] - of["t1"] for of in found)
        return statistics.contrast(ours - theirs)

    return measure


def changed(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """The share of second attempts that are not the first one again."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        found = on_common_seeds(evidence, task, method)
        if found is None:
            return None
        copies = found[0]["same"]
        return statistics.compare(np.ones_like(copies), copies)

    return measure


def later(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """The last attempt's accuracy minus the second's."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        turns = [accuracy_by_turn(of) for of in evidence.outcomes(task, method).values()]
        last = min((of.shape[1] for of in turns), default=0)
        if last <= 2:
            return None
        by_turn = np.stack([of[:, :last] for of in turns])
        return statistics.compare(by_turn[..., -1], by_turn[..., 1])

    return measure


def best_of_all(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """A method's t2 against that of every other method of the paper's tables, all at once.

    It is the best only if each comparison alone says so, so the largest p counts. It is not the
    best if one of them says so; since that one is picked from many, its p is Holm's.
    """

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        compared = [between(method, name, "t2")(evidence, task) for name in RIVALS]
        found = [of for of in compared if of is not None]
        if len(found) < len(RIVALS):
            return None
        if all(of.difference.value > 0 for of in found):
            return max(found, key=lambda of: of.p)
        adjusted = statistics.holm([of.p for of in found])
        behind = [replace(of, p=p) for of, p in zip(found, adjusted, strict=True)
                  if of.difference.value <= 0]  # fmt: skip
        return min(behind, key=lambda of: (of.p, of.difference.value))

    return measure


def votes(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """Votes of corrected samples against parallel ones, at the largest budget."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        found = evidence.votes(task, method)
        if not found:
            return None
        parallel, corrected = found[max(found)]
        return statistics.contrast(corrected - parallel)

    return measure


def mismatch(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """After fine-tuning: correction rate on the base's first attempts minus that on its own."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        seeds = [corrections(of) for of in evidence.seeds(evidence.snapshots, task, method)]
        if not seeds:
            return None
        last = [{whose: of[whose][max(of[whose])] for whose in of} for of in seeds]
        terms = [
            (np.stack([of[whose].corrected for of in last]),
             np.stack([of[whose].wrong for of in last]))
            for whose in ("fixed", "own")
        ]  # fmt: skip
        return statistics.contrast_of_ratios(*terms)

    return measure


# --- the claims -----------------------------------------------------------------------------------

DELTA = "Δ(t1,t2)"
# What SCoRe is compared with in the paper's Tables 1 to 4.
RIVALS = tuple(name for name in {**paper.MATH, **paper.ABLATIONS} if name != "score")
CLAIMS = (
    Claim("base loses", "The base model loses accuracy by revising",
          "Table 1 (code, Table 3: +3.0)", DELTA, "below", of_one("base", "t2", "t1")),
    Claim("prompting", "A refinement prompt does not make it gain", "Tables 1 and 3",
          f"{DELTA} of Self-Refine", "at most", of_one("self_refine", "t2", "t1"), MARGIN),
    Claim("STaR", "STaR on corrections alone goes on losing by revising", "Table 1",
          f"{DELTA} of STaR, D", "below", of_one("star_d", "t2", "t1")),
    Claim("STaR collapse", "STaR with right attempts too comes to repeat the first attempt",
          "Table 1, §4", "second attempts of STaR, D+ that differ", "at most",
          changed("star_d_plus"), COPIED),
    Claim("Pair-SFT collapse", "Pair-SFT with right attempts too comes to repeat the first attempt",
          "Table 1, §4", "second attempts of Pair-SFT, D+ that differ", "at most",
          changed("pair_sft_d_plus"), COPIED),
    Claim("Pair-SFT mismatch", "Pair-SFT corrects the base's first attempts better than its own",
          "Fig. 5", "correction rate, base's minus own first attempts", "above",
          mismatch("pair_sft_d"), view="snapshots"),
    Claim("single-turn RL", "RL on one attempt raises the first attempt", "Table 4",
          "Acc@t1 against the base's", "above", between("single_turn_rl", "base", "t1")),
    Claim("single-turn RL loses", "... and then loses by revising", "Table 4", DELTA,
          "below", of_one("single_turn_rl", "t2", "t1")),
    Claim("RL collapse, last", "Multi-turn RL that rewards the last attempt comes to repeat the "
          "first", "Fig. 6", "second attempts that differ", "at most",
          changed("multi_turn_rl_last"), COPIED),
    Claim("RL collapse, sum", "Multi-turn RL that rewards both attempts comes to repeat the first",
          "Fig. 6", "second attempts that differ", "at most",
          changed("multi_turn_rl_sum"), COPIED),
    Claim("Stage I anchors", "Stage I keeps the first attempt where the base's is", "§5.1",
          "Acc@t1 against the base's", "within", between("stage1", "base", "t1"), MARGIN),
    Claim("Stage I decouples", "... while the second attempt becomes better", "§5.1",
          "Acc@t2 against the base's", "above", between("stage1", "base", "t2")),
    Claim("SCoRe gains", "SCoRe gains by revising", "Tables 2 and 3", DELTA, "above",
          of_one("score", "t2", "t1")),
    Claim("SCoRe t2", "SCoRe's second attempt beats the base's", "Tables 2 and 3",
          "Acc@t2 against the base's", "above", between("score", "base", "t2")),
    Claim("SCoRe corrects", "SCoRe corrects more than the base", "Tables 2 and 3",
          "Δi→c against the base's", "above", between("score", "base", "i_to_c")),
    Claim("SCoRe breaks less", "SCoRe breaks fewer right answers than the base", "Tables 2 and 3",
          "Δc→i against the base's", "below", between("score", "base", "c_to_i")),
    Claim("SCoRe is best", "SCoRe's second attempt is the best of the paper's methods",
          "Tables 2 to 4", "Acc@t2 against the nearest other method's", "above",
          best_of_all("score")),
    Claim("offline repair", "SCoRe repairs another writer's programs better than the base",
          "Table 3", "repaired, against the base's", "above",
          between("score", "base", "t2", "repair"), programs=True),
    Claim("votes", "Correcting samples beats drawing twice as many", "Fig. 1 right",
          "vote's accuracy at the largest budget", "above", votes("score"), view="voting"),
    Claim("further attempts", "SCoRe gains by further attempts too", "Fig. 8",
          "last attempt's accuracy against the second's", "above", later("score")),
    Claim("multi-turn training", "Training on one attempt only gives less", "Table 4",
          f"SCoRe's {DELTA} against single-turn RL's", "above",
          between_deltas("score", "single_turn_rl"), family="ablations"),
    Claim("Stage I matters", "Without Stage I the gain is smaller", "Table 4",
          f"SCoRe's {DELTA} against that without", "above",
          between_deltas("score", "score_without_stage1"), family="ablations"),
    Claim("the bonus amplifies", "Without the bonus the gain is smaller", "Table 4",
          f"SCoRe's {DELTA} against that without", "above",
          between_deltas("score", "score_without_shaping"), family="ablations"),
    Claim("on-policy Stage II", "STaR in place of RL in Stage II ends with worse second attempts",
          "Table 4", "SCoRe's Acc@t2 against its", "above",
          between("score", "score_star_stage2", "t2"), family="ablations"),
    Claim("γ = 0", "With γ = 0.8 and α = 1 the gain is smaller", "Fig. 9",
          f"SCoRe's {DELTA} against that with", "above",
          between_deltas("score", "score_gamma"), family="ablations"),
)  # fmt: skip


def findings(evidence: Evidence, task: str, claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """What came out of every claim on a task that the evidence can decide.

    A family's size is that of its claims, whatever part of them is finished.
    """
    programming = task in evidence.report.spec.programming
    able = [
        claim
        for claim in claims
        if claim.view in ("", *evidence.views) and (programming or not claim.programs)
    ]
    made = [_finding(claim, task, claim.measure(evidence, task)) for claim in able]
    family = [at for at, of in enumerate(made) if of.claim.family]
    adjusted = statistics.holm([1.0 if (p := made[at].p) is None else p for at in family])
    for at, p in zip(family, adjusted, strict=True):
        if made[at].p is not None:
            made[at] = _judged(replace(made[at], p=p))
    return made


def _finding(claim: Claim, task: str, compared: Comparison | None) -> Finding:
    if compared is None:
        return Finding(claim, task, "not tested")
    low, high = compared.bootstrap()
    difference, bootstrap = compared.difference.percent(), (100 * low, 100 * high)
    return _judged(Finding(claim, task, "undecided", difference, compared.p, bootstrap))


def _judged(of: Finding) -> Finding:
    """With the verdict; where a sign is claimed both the test and the interval must say so."""
    assert of.difference is not None and of.p is not None
    low, high, limit = of.difference.low, of.difference.high, of.claim.limit
    if of.claim.direction == "within":
        holds, fails = low >= -limit and high <= limit, low > limit or high < -limit
    elif of.claim.direction == "at most":
        holds, fails = high <= limit, low > limit
    else:
        above, below = of.p < LEVEL and low > 0, of.p < LEVEL and high < 0
        holds, fails = (above, below) if of.claim.direction == "above" else (below, above)
    verdict: Ruling = "reproduced" if holds else "not reproduced" if fails else "undecided"
    return replace(of, verdict=verdict)
