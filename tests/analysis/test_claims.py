"""What the verdicts on the claims hang on."""

from dataclasses import replace

import pandas as pd
import pytest
from synthetic import attempt_rows, make_job

from selfcorrect.analysis import tables
from selfcorrect.analysis.claims import CLAIMS, MARGIN, RIVALS, Claim, findings, of_one
from selfcorrect.analysis.evidence import Evidence, read_evidence
from selfcorrect.analysis.results import Place
from selfcorrect.reporting import MethodRow

LOSES = ["rr"] * 20 + ["rw"] * 20 + ["wr"] * 2 + ["ww"] * 18
GAINS = ["rr"] * 20 + ["rw"] * 2 + ["wr"] * 20 + ["ww"] * 18
STAYS = ["rr"] * 200 + ["ww"] * 200
UNCLEAR = ["rr"] * 20 + ["rw"] * 6 + ["wr"] * 3 + ["ww"] * 31


def delta(direction: str) -> Claim:
    return Claim("c", "text", "Table 1", "Δ", direction, of_one("base", "t2", "t1"), MARGIN)


@pytest.mark.parametrize(("traces", "direction", "verdict"), [
    (LOSES, "below", "reproduced"),
    (LOSES, "above", "not reproduced"),
    (GAINS, "above", "reproduced"),
    (UNCLEAR, "below", "undecided"),
    (UNCLEAR, "above", "undecided"),
    (STAYS, "within", "reproduced"),
    (STAYS, "above", "undecided"),
    (GAINS, "within", "not reproduced"),
    (UNCLEAR, "within", "undecided"),
    (LOSES, "at most", "reproduced"),
    (GAINS, "at most", "not reproduced"),
    (UNCLEAR, "at most", "undecided"),
])  # fmt: skip
def test_the_verdict_follows_from_the_test(write_grades, job, traces, direction, verdict):
    evidence = read_evidence(job, [write_grades("base", traces)])
    (found,) = findings(evidence, "carry", [delta(direction)])
    assert found.verdict == verdict


def test_what_was_not_run_is_not_tested(write_grades, job):
    evidence = read_evidence(job, [write_grades("base", LOSES)])
    found = {of.claim.name: of for of in findings(evidence, "carry")}
    assert found.keys() == {of.name for of in CLAIMS if not of.view and not of.programs}
    assert found["base loses"].verdict == "reproduced"
    assert {of.verdict for name, of in found.items() if name != "base loses"} == {"not tested"}


def everything() -> tuple[MethodRow, ...]:
    names = dict.fromkeys((*RIVALS, "score", "stage1", "multi_turn_rl_last", "multi_turn_rl_sum",
                           "score_gamma"))  # fmt: skip
    return tuple(MethodRow(name=name, label=name, tables=("main",)) for name in names)


def test_the_ablations_are_a_family(write_grades):
    """Of five claims two are decided: the smaller p counts five times, the larger four times."""
    job = make_job().model_copy(update={"methods": everything()})
    evidence = read_evidence(job, [
        write_grades("score", GAINS),
        write_grades("single_turn_rl", LOSES),
        write_grades("score_gamma", UNCLEAR),
    ])  # fmt: skip
    claims = {of.name: of for of in CLAIMS}
    clear, unclear = (claims[name].measure(evidence, "carry").p
                      for name in ("multi-turn training", "γ = 0"))  # fmt: skip
    assert clear < unclear
    found = {of.claim.name: of for of in findings(evidence, "carry")}
    assert found["multi-turn training"].p == pytest.approx(5 * clear)
    assert found["γ = 0"].p == pytest.approx(4 * unclear)
    assert found["Stage I matters"].verdict == "not tested"


def traces(up: int, down: int) -> list[str]:
    """100 problems, of which 30 stay right."""
    return ["rr"] * 30 + ["wr"] * up + ["rw"] * down + ["ww"] * (70 - up - down)


BEHAVIOUR = {  # wrong to right, right to wrong, of 100 problems
    "base": (4, 16), "self_refine": (5, 9), "star_d": (6, 20), "star_d_plus": (2, 1),
    "pair_sft_d": (8, 6), "pair_sft_d_plus": (1, 3), "single_turn_rl": (3, 22),
    "multi_turn_rl_last": (9, 2), "multi_turn_rl_sum": (1, 0), "stage1": (20, 7), "score": (40, 3),
    "score_without_stage1": (25, 6), "score_without_shaping": (24, 4),
    "score_star_stage2": (30, 5), "score_gamma": (28, 10),
}  # fmt: skip
T2 = {name: 30 + up for name, (up, _) in BEHAVIOUR.items()}
T1 = {name: 30 + down for name, (_, down) in BEHAVIOUR.items()}
DELTAS = {name: up - down for name, (up, down) in BEHAVIOUR.items()}
EXPECTED = {
    "base loses": DELTAS["base"], "prompting": DELTAS["self_refine"], "STaR": DELTAS["star_d"],
    "STaR collapse": 3, "Pair-SFT collapse": 4,
    "Pair-SFT mismatch": 100 * (6 / 8 - 2 / 8),
    "single-turn RL": T1["single_turn_rl"] - T1["base"],
    "single-turn RL loses": DELTAS["single_turn_rl"],
    "RL collapse, last": 11, "RL collapse, sum": 1,
    "Stage I anchors": T1["stage1"] - T1["base"], "Stage I decouples": T2["stage1"] - T2["base"],
    "SCoRe gains": DELTAS["score"], "SCoRe t2": T2["score"] - T2["base"],
    "SCoRe corrects": 40 - 4, "SCoRe breaks less": 3 - 16,
    "SCoRe is best": T2["score"] - T2["score_star_stage2"],
    "offline repair": 100 * (3 / 4 - 1 / 4), "votes": 100 * (1 - 0.5), "further attempts": 10,
    "multi-turn training": DELTAS["score"] - DELTAS["single_turn_rl"],
    "Stage I matters": DELTAS["score"] - DELTAS["score_without_stage1"],
    "the bonus amplifies": DELTAS["score"] - DELTAS["score_without_shaping"],
    "on-policy Stage II": T2["score"] - T2["score_star_stage2"],
    "γ = 0": DELTAS["score"] - DELTAS["score_gamma"],
}  # fmt: skip


def whole_run(write_grades) -> Evidence:
    """All methods; SCoRe's third attempts put 10 problems right that its second ones have wrong."""
    repairs = {"base": ["wr", "ww", "ww", "ww"], "score": ["wr", "wr", "wr", "ww"]}
    graded = []
    for name, behaviour in BEHAVIOUR.items():
        made = traces(*behaviour)
        if name == "score":
            wrong = [at for at, trace in enumerate(made) if trace[-1] == "w"]
            made = [trace + ("r" if at in wrong[:10] else trace[-1])
                    for at, trace in enumerate(made)]  # fmt: skip
        graded.append(write_grades(name, made, repairs=repairs.get(name, ())))
    job = make_job().model_copy(update={"methods": everything(), "programming": ("carry",)})
    # Two problems, two samples: in parallel one of the two votes is a tie and the other is wrong
    # for one problem; of one corrected sample both are right.
    votes = attempt_rows(["rr", "wr", "rr", "wr"], "voting", samples=2)
    own = attempt_rows(["wr"] * 2 + ["ww"] * 6, "own-5")
    fixed = attempt_rows(["wr"] * 6 + ["ww"] * 2, "fixed-5")
    evidence = read_evidence(job, graded)
    return replace(
        evidence,
        voting={Place("carry", "score", 0): pd.DataFrame(votes)},
        snapshots={Place("carry", "pair_sft_d", 0): pd.DataFrame(own + fixed)},
        views=frozenset({"voting", "snapshots"}),
    )


def test_every_claim_measures_what_it_says(write_grades):
    found = {of.claim.name: of for of in findings(whole_run(write_grades), "carry")}
    measured = {name: of.difference.value for name, of in found.items()}
    assert measured == pytest.approx(EXPECTED)
    assert {of.seeds for of in found.values()} == {1}


def test_what_is_claimed_of_the_paper_is_reproduced_by_such_a_run(write_grades):
    """Of a run that behaves as the claims say, none is refuted."""
    found = findings(whole_run(write_grades), "carry")
    refuted = {of.claim.name for of in found if of.verdict == "not reproduced"}
    assert not refuted


def test_the_difference_of_two_deltas_is_paired(write_grades):
    evidence = read_evidence(make_job(), [
        write_grades("base", LOSES), write_grades("score", GAINS),
        write_grades("single_turn_rl", [*GAINS[:-1], "wr"]),
    ])  # fmt: skip
    (claim,) = (of for of in CLAIMS if of.name == "multi-turn training")
    difference = claim.measure(evidence, "carry").difference
    assert difference.value == pytest.approx(-1 / 60)
    assert difference.high - difference.low < 0.1  # unpaired it would be 0.5


def test_a_method_is_best_only_of_all_and_only_if_each_comparison_says_so(write_grades):
    job = make_job().model_copy(update={"methods": everything()})
    (claim,) = (of for of in CLAIMS if of.name == "SCoRe is best")
    clear = [write_grades(name, LOSES) for name in RIVALS]
    graded = [*clear, write_grades("score", GAINS)]
    (found,) = findings(read_evidence(job, graded), "carry", [claim])
    assert found.verdict == "reproduced"
    (found,) = findings(read_evidence(job, graded[1:]), "carry", [claim])
    assert found.verdict == "not tested"
    # One that is hardly worse, so that all is open; one that is clearly better.
    near = write_grades(RIVALS[0], [*GAINS[:-1], "wr"])
    (found,) = findings(read_evidence(job, [near, *graded[1:]]), "carry", [claim])
    assert found.verdict == "undecided" and found.p == 1.0
    better = write_grades(RIVALS[0], ["rr"] * 60)
    (found,) = findings(read_evidence(job, [better, *graded[1:]]), "carry", [claim])
    assert found.verdict == "not reproduced"
    assert found.difference.value == pytest.approx(100 * (40 / 60 - 1))


def test_a_verdict_of_some_seeds_says_so(write_grades):
    job = make_job(seeds=(0, 1, 2))
    evidence = read_evidence(job, [write_grades("base", LOSES)])
    shown = {table.name: table for table, _ in tables.tables(evidence)}["claims"]
    assert shown.groups["carry"][0][1].text == "reproduced (1 of 3 seeds)"
