"""The paper's claims, each with the estimate that decides it and what came out.

A claim says that some difference is above 0, or below, or within a margin of 0. It is *reproduced*
where the data exclude the contrary at 5 %, *not reproduced* where they exclude the claim, and
*undecided* between. What was not run is *not tested*. Differences are in points, of greedy
attempts on the same problems; tests are paired, over problems for one seed and over seeds and
problems for several (`statistics`). The claims about ablations are a family, whose p-values are
Holm's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from selfcorrect.analysis import statistics, voting
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.metrics import Shares, accuracy_by_turn
from selfcorrect.analysis.statistics import Comparison, Estimate, Interval
from selfcorrect.analysis.summary import stacked
from selfcorrect.analysis.tracking import corrections

Direction = Literal["above", "below", "within"]
Verdict = Literal["reproduced", "not reproduced", "undecided", "not tested"]
MARGIN = 2.0  # points: what counts as no difference
LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """``measure(evidence, task)`` gives the difference; None where something of it is missing."""

    name: str
    text: str
    source: str
    measured: str
    direction: Direction
    measure: Callable[[Evidence, str], Comparison | None]
    family: str = ""


@dataclass(frozen=True)
class Finding:
    """What came out of a claim on a task; ``p`` is adjusted in a family.

    ``difference`` and its ``bootstrap`` interval are in points.
    """

    claim: Claim
    task: str
    verdict: Verdict
    difference: Estimate | None = None
    p: float | None = None
    bootstrap: Interval | None = None


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


def later(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """The last attempt's accuracy minus the second's."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        turns = map(accuracy_by_turn, evidence.outcomes(task, method).values())
        found = [of for of in turns if of.shape[1] > 2]
        return (
            statistics.contrast(np.stack([of[:, -1] - of[:, 1] for of in found])) if found else None
        )

    return measure


def best_of_all(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """A method's t2 against the best of all others in the main table, whichever that is."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        rows = evidence.report.spec.methods
        others = [row.name for row in rows if "main" in row.tables and row.name != method]
        compared = [of for name in others if (of := between(method, name, "t2")(evidence, task))]
        return min(compared, key=lambda of: of.difference.value, default=None)

    return measure


def votes(method: str) -> Callable[[Evidence, str], Comparison | None]:
    """Votes of corrected samples against parallel ones, at the largest budget."""

    def measure(evidence: Evidence, task: str) -> Comparison | None:
        seeds = [voting.curves(of) for of in evidence.seeds(evidence.voting, task, method)]
        if not seeds:
            return None
        budget = max(seeds[0])
        parallel, corrected = (np.stack([of[budget][turn] for of in seeds]) for turn in range(2))
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
CLAIMS = (
    Claim("base loses", "The base model loses accuracy by revising", "Table 1", DELTA,
          "below", of_one("base", "t2", "t1")),
    Claim("prompting", "A refinement prompt does not make it gain", "Table 1",
          f"{DELTA} of Self-Refine", "below", of_one("self_refine", "t2", "t1")),
    Claim("STaR", "STaR on corrections alone goes on losing by revising", "Table 1",
          f"{DELTA} of STaR, D", "below", of_one("star_d", "t2", "t1")),
    Claim("STaR collapse", "STaR with right attempts too comes close to not changing anything",
          "Table 1", f"{DELTA} of STaR, D+", "within", of_one("star_d_plus", "t2", "t1")),
    Claim("Pair-SFT collapse", "Pair-SFT with right attempts too comes close to not changing "
          "anything", "Table 1", f"{DELTA} of Pair-SFT, D+", "within",
          of_one("pair_sft_d_plus", "t2", "t1")),
    Claim("Pair-SFT mismatch", "Pair-SFT corrects the first attempts it was trained on better than "
          "its own", "Fig. 5", "correction rate, base's minus own first attempts", "above",
          mismatch("pair_sft_d")),
    Claim("single-turn RL", "RL on one attempt raises the first attempt", "Table 4",
          "Acc@t1 against the base's", "above", between("single_turn_rl", "base", "t1")),
    Claim("single-turn RL loses", "... and then loses by revising", "Table 4", DELTA,
          "below", of_one("single_turn_rl", "t2", "t1")),
    Claim("RL collapse", "RL that rewards both attempts alike comes to repeat the first", "Fig. 6",
          DELTA, "within", of_one("multi_turn_rl_sum", "t2", "t1")),
    Claim("Stage I anchors", "Stage I keeps the first attempt where the base's is", "§5.1",
          "Acc@t1 against the base's", "within", between("stage1", "base", "t1")),
    Claim("Stage I decouples", "... while the second attempt becomes better", "§5.1",
          "Acc@t2 against the base's", "above", between("stage1", "base", "t2")),
    Claim("SCoRe gains", "SCoRe gains by revising", "Table 2", DELTA, "above",
          of_one("score", "t2", "t1")),
    Claim("SCoRe t2", "SCoRe's second attempt beats the base's", "Table 2",
          "Acc@t2 against the base's", "above", between("score", "base", "t2")),
    Claim("SCoRe corrects", "SCoRe corrects more than the base", "Table 2",
          "Δi→c against the base's", "above", between("score", "base", "i_to_c")),
    Claim("SCoRe breaks less", "SCoRe breaks fewer right answers than the base", "Table 2",
          "Δc→i against the base's", "below", between("score", "base", "c_to_i")),
    Claim("SCoRe is best", "SCoRe's second attempt is the best of all methods", "Tables 2 and 3",
          "Acc@t2 against the best other method's", "above", best_of_all("score")),
    Claim("offline repair", "SCoRe repairs another writer's programs better than the base",
          "Table 3", "repaired, against the base's", "above",
          between("score", "base", "t2", "repair")),
    Claim("votes", "Correcting samples beats drawing twice as many", "Fig. 1 right",
          "vote's accuracy at the largest budget", "above", votes("score")),
    Claim("further attempts", "SCoRe gains by further attempts too", "Fig. 8",
          "last attempt's accuracy against the second's", "above", later("score")),
    Claim("multi-turn training", "Training on one attempt only gives less", "Table 4",
          f"SCoRe's {DELTA} against single-turn RL's", "above",
          between_deltas("score", "single_turn_rl"), "ablations"),
    Claim("Stage I matters", "Without Stage I the gain is smaller", "Table 4",
          f"SCoRe's {DELTA} against that without", "above",
          between_deltas("score", "score_without_stage1"), "ablations"),
    Claim("the bonus amplifies", "Without the bonus the gain is smaller", "Table 4",
          f"SCoRe's {DELTA} against that without", "above",
          between_deltas("score", "score_without_shaping"), "ablations"),
    Claim("on-policy Stage II", "STaR in place of RL in Stage II ends with worse second attempts",
          "Table 4", "SCoRe's Acc@t2 against its", "above",
          between("score", "score_star_stage2", "t2"), "ablations"),
    Claim("γ = 0", "With credit to first attempts (γ = 0.8) the gain is smaller", "Fig. 9",
          f"SCoRe's {DELTA} against that with", "above",
          between_deltas("score", "score_gamma"), "ablations"),
)  # fmt: skip


def findings(evidence: Evidence, task: str, claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """What came out of every claim on a task."""
    made = [_finding(claim, task, claim.measure(evidence, task)) for claim in claims]
    family = [at for at, of in enumerate(made) if of.claim.family and of.p is not None]
    adjusted = statistics.holm([made[at].p or 0.0 for at in family])
    for at, p in zip(family, adjusted, strict=True):
        made[at] = _judged(replace(made[at], p=p))
    return made


def _finding(claim: Claim, task: str, compared: Comparison | None) -> Finding:
    if compared is None:
        return Finding(claim, task, "not tested")
    low, high = compared.bootstrap
    difference, bootstrap = compared.difference.percent(), (100 * low, 100 * high)
    return _judged(Finding(claim, task, "undecided", difference, compared.p, bootstrap))


def _judged(of: Finding) -> Finding:
    assert of.difference is not None and of.p is not None
    value, low, high = of.difference.value, of.difference.low, of.difference.high
    if of.claim.direction == "within":
        holds, fails = low >= -MARGIN and high <= MARGIN, low > MARGIN or high < -MARGIN
    else:
        as_said = (value > 0) == (of.claim.direction == "above")
        holds, fails = of.p < LEVEL and as_said, of.p < LEVEL and not as_said
    verdict: Verdict = "reproduced" if holds else "not reproduced" if fails else "undecided"
    return replace(of, verdict=verdict)
