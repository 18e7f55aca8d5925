"""The paper's claims, each with the estimate that decides it and what came out.

A claim says of a difference that it is above 0, or below, or within a margin of 0, or at most so
large. It is *reproduced* where the data exclude the contrary at 5 %, *not reproduced* where they
exclude the claim, and *undecided* between. What was not run is *not tested*. Differences are in
points, of greedy attempts (votes: of sampled ones) at the same problems; tests are paired, over
problems for one seed and over seeds and problems for several (`statistics`). The claims about
ablations are a family, whose p-values are Holm's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Literal

from selfcorrect import paper
from selfcorrect.analysis import measures, statistics
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.measures import Measure
from selfcorrect.analysis.statistics import Comparison, Estimate, Interval

Direction = Literal["above", "below", "within", "at most"]
Ruling = Literal["reproduced", "not reproduced", "undecided", "not tested"]
MARGIN = 2.0  # points: what counts as no difference
COPIED = 5.0  # percent of second attempts that may differ from the first where a model only copies
LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """``measure(evidence, task)`` gives the difference; None where something of it is missing.

    ``limit``: in points, of the directions ``within`` and ``at most``. ``view``: what evidence it
    needs besides the evaluation. ``about``: only tasks whose answers are programs, or only others,
    where the paper says something else of either.
    """

    name: str
    text: str
    source: str
    measured: str
    direction: Direction
    measure: Measure
    limit: float = 0.0
    family: str = ""
    view: str = ""
    about: Literal["all", "programs", "others"] = "all"

    @property
    def signed(self) -> bool:
        """Whether it claims a sign, which a test decides as well as the interval."""
        return self.direction in ("above", "below")

    @property
    def said(self) -> str:
        """What the claim says of what is measured."""
        signs = {"above": "> 0", "below": "< 0", "within": f"within ±{self.limit:g}",
                 "at most": f"≤ {self.limit:g}"}  # fmt: skip
        return signs[self.direction]


@dataclass(frozen=True)
class Finding:
    """What came out of a claim on a task; ``p`` is adjusted in a family.

    ``asked``: how many seeds the run has. ``difference`` and its ``bootstrap`` interval are in
    points.
    """

    claim: Claim
    task: str
    asked: int
    verdict: Ruling
    difference: Estimate | None = None
    p: float | None = None
    bootstrap: Interval | None = None

    @property
    def seeds(self) -> int:
        """How many seeds it is of."""
        return sum(not isnan(of) for of in self.difference.per_seed) if self.difference else 0


# --- the claims -----------------------------------------------------------------------------------

DELTA = "Δ(t1,t2)"
# What SCoRe is compared with in the paper's tables and figures.
RIVALS = (
    *(name for name in {**paper.MATH, **paper.ABLATIONS} if name != "score"),
    "multi_turn_rl_last", "multi_turn_rl_sum", "score_gamma",
)  # fmt: skip
DIFFER = "second attempts that differ"
CLAIMS = (
    Claim("base loses", "The base model loses accuracy by revising", "Table 1", DELTA, "below",
          measures.of_one("base", "t2", "t1"), about="others"),
    Claim("base gains", "The base model gains by revising programs", "Table 3", DELTA, "above",
          measures.of_one("base", "t2", "t1"), about="programs"),
    Claim("prompting", "A refinement prompt does not make it gain", "Tables 1 and 3",
          f"{DELTA} of Self-Refine", "at most",
          measures.of_one("self_refine", "t2", "t1"), MARGIN),
    Claim("STaR", "STaR on corrections alone goes on losing by revising", "Table 1",
          f"{DELTA} of STaR, D", "below", measures.of_one("star_d", "t2", "t1")),
    Claim("STaR collapse", "STaR with right attempts too gains nothing by revising", "Table 1",
          f"{DELTA} of STaR, D+", "within", measures.of_one("star_d_plus", "t2", "t1"), MARGIN),
    Claim("Pair-SFT", "Pair-SFT gains next to nothing by revising", "Table 1",
          f"{DELTA} of Pair-SFT, D", "within", measures.of_one("pair_sft_d", "t2", "t1"), MARGIN,
          about="others"),
    Claim("Pair-SFT collapse", "Pair-SFT with right attempts too comes to repeat the first attempt",
          "Table 1, §4", f"{DIFFER}, Pair-SFT, D+", "at most",
          measures.changed("pair_sft_d_plus"), COPIED),
    Claim("Pair-SFT mismatch", "Pair-SFT corrects the base's first attempts better than its own",
          "Fig. 5", "correction rate, base's minus own first attempts", "above",
          measures.mismatch("pair_sft_d"), view="snapshots"),
    Claim("Pair-SFT repairs", "Pair-SFT repairs another writer's programs better than the base",
          "Table 3", "repaired, against the base's", "above",
          measures.between("pair_sft_d", "base", "t2", "repair"), about="programs"),
    Claim("Pair-SFT loses", "Pair-SFT loses by revising its own programs", "Table 3",
          f"{DELTA} of Pair-SFT, D", "below",
          measures.of_one("pair_sft_d", "t2", "t1"), about="programs"),
    Claim("single-turn RL", "RL on one attempt raises the first attempt", "Table 4",
          "its Acc@t1 against the base's", "above",
          measures.between("single_turn_rl", "base", "t1")),
    Claim("single-turn RL loses", "RL on one attempt loses by revising", "Table 4",
          f"{DELTA} of Single-turn RL", "below",
          measures.of_one("single_turn_rl", "t2", "t1")),
    Claim("RL t1", "Multi-turn RL that rewards the last attempt raises the first one too", "Fig. 6",
          "its Acc@t1 against the base's", "above",
          measures.between("multi_turn_rl_last", "base", "t1")),
    Claim("RL t2", "Multi-turn RL that rewards the last attempt raises the second one", "Fig. 6",
          "its Acc@t2 against the base's", "above",
          measures.between("multi_turn_rl_last", "base", "t2")),
    Claim("RL gains nothing, last", "Multi-turn RL that rewards the last attempt gains nothing by "
          "revising", "Fig. 6", f"{DELTA} of Multi-turn RL, r(y2)", "within",
          measures.of_one("multi_turn_rl_last", "t2", "t1"), MARGIN),
    Claim("RL collapse, last", "Multi-turn RL that rewards the last attempt comes to repeat the "
          "first", "Fig. 6", f"{DIFFER}, Multi-turn RL, r(y2)", "at most",
          measures.changed("multi_turn_rl_last"), COPIED),
    Claim("RL gains nothing, sum", "Multi-turn RL that rewards both attempts gains nothing by "
          "revising", "Fig. 6", f"{DELTA} of Multi-turn RL, r(y1) + r(y2)", "within",
          measures.of_one("multi_turn_rl_sum", "t2", "t1"), MARGIN),
    Claim("RL collapse, sum", "Multi-turn RL that rewards both attempts comes to repeat the first",
          "Fig. 6", f"{DIFFER}, Multi-turn RL, r(y1) + r(y2)", "at most",
          measures.changed("multi_turn_rl_sum"), COPIED),
    Claim("Stage I anchors", "Stage I keeps the first attempt where the base's is", "§5.1",
          "its Acc@t1 against the base's", "within", measures.between("stage1", "base", "t1"),
          MARGIN),
    Claim("Stage I decouples", "Stage I makes the second attempt better", "§5.1",
          "its Acc@t2 against the base's", "above", measures.between("stage1", "base", "t2")),
    Claim("Stage I changes", "After Stage I training repeats fewer first attempts than without",
          "Fig. 6", "second attempts that repeat the first, against those without Stage I", "below",
          measures.between("score", "score_without_stage1", "same")),
    Claim("SCoRe gains", "SCoRe gains by revising", "Tables 2 and 3", f"{DELTA} of SCoRe", "above",
          measures.of_one("score", "t2", "t1")),
    Claim("SCoRe t2", "SCoRe's second attempt beats the base's", "Tables 2 and 3",
          "its Acc@t2 against the base's", "above", measures.between("score", "base", "t2")),
    Claim("SCoRe corrects", "SCoRe corrects more problems than the base", "Tables 2 and 3",
          "its Δi→c against the base's", "above", measures.between("score", "base", "i_to_c")),
    Claim("SCoRe's rate", "SCoRe corrects more of those that it has wrong at first", "§6.1",
          "its correction rate against the base's", "above",
          measures.correction_rates("score", "base")),
    Claim("SCoRe breaks less", "SCoRe breaks fewer right answers than the base", "Tables 2 and 3",
          "its Δc→i against the base's", "below", measures.between("score", "base", "c_to_i")),
    Claim("SCoRe edits", "SCoRe revises more attempts than STaR with right attempts", "Fig. 4",
          "second attempts that repeat the first, against STaR's, D+", "below",
          measures.between("score", "star_d_plus", "same")),
    Claim("SCoRe is best", "SCoRe's second attempt is the best of the paper's methods",
          "Tables 2 to 4, Figs. 6 and 9", "SCoRe's Acc@t2 against that which decides it", "above",
          measures.best_of("score", RIVALS)),
    Claim("offline repair", "SCoRe repairs another writer's programs better than the base",
          "Table 3", "repaired, against the base's", "above",
          measures.between("score", "base", "t2", "repair"), about="programs"),
    Claim("votes", "Correcting samples beats drawing twice as many", "Fig. 1 right",
          "SCoRe's votes at the largest budget", "above", measures.votes("score"), view="voting"),
    Claim("further attempts", "SCoRe gains by further attempts too", "Fig. 8",
          "SCoRe's last attempt against its second", "above", measures.later("score")),
    Claim("base's further attempts", "The base model gains nothing by further attempts", "Fig. 8",
          "the base's last attempt against its second", "at most", measures.later("base"),
          MARGIN),
    Claim("γ = 0", "With γ = 0.8 and α = 1 second attempts come to repeat the first", "Fig. 9",
          f"{DIFFER}, γ = 0.8", "at most", measures.changed("score_gamma"), COPIED),
    *(
        claim
        for method, name, what in (
            ("single_turn_rl", "multi-turn training", "Training on one attempt only"),
            ("score_without_stage1", "Stage I", "Training without Stage I"),
            ("score_without_shaping", "the bonus", "Training without the bonus"),
            ("score_star_stage2", "on-policy Stage II", "STaR in place of RL in Stage II"),
        )
        for claim in (
            Claim(f"{name}: gain", f"{what} gains less by revising", "Table 4",
                  f"SCoRe's {DELTA} against its", "above",
                  measures.between_deltas("score", method), family="ablations"),
            Claim(f"{name}: t2", f"{what} ends with worse second attempts", "Table 4",
                  "SCoRe's Acc@t2 against its", "above",
                  measures.between("score", method, "t2"), family="ablations"),
        )
    ),
)  # fmt: skip


def findings(evidence: Evidence, task: str, claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """What came out of every claim that is about such a task.

    A family's size is that of its claims, whatever part of them is finished.
    """
    kind = "programs" if task in evidence.report.spec.programming else "others"
    asked = [claim for claim in claims if claim.about in ("all", kind)]
    seeds = len(evidence.report.spec.seeds)
    made = [_finding(claim, task, seeds, claim.measure(evidence, task)) for claim in asked]
    family = [at for at, of in enumerate(made) if of.claim.family]
    adjusted = statistics.holm([1.0 if (p := made[at].p) is None else p for at in family])
    for at, p in zip(family, adjusted, strict=True):
        if made[at].p is not None:
            made[at] = _judged(replace(made[at], p=p))
    return made


def _finding(claim: Claim, task: str, seeds: int, compared: Comparison | None) -> Finding:
    if compared is None:
        return Finding(claim, task, seeds, "not tested")
    low, high = compared.bootstrap()
    difference, bootstrap = compared.difference.percent(), (100 * low, 100 * high)
    return _judged(Finding(claim, task, seeds, "undecided", difference, compared.p, bootstrap))


def _judged(of: Finding) -> Finding:
    """With the verdict; where a sign is claimed both the test and the interval must say so."""
    assert of.difference is not None and of.p is not None
    if of.seeds < 2 <= of.asked:  # its interval and its p are about one model
        return replace(of, verdict="undecided")
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
