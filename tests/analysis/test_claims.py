"""What the verdicts on the claims hang on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import attempt_rows, make_job

from selfcorrect.analysis import tables
from selfcorrect.analysis.claims import CLAIMS, MARGIN, RIVALS, Claim, findings
from selfcorrect.analysis.evidence import Evidence, read_evidence
from selfcorrect.analysis.measures import changed, of_one
from selfcorrect.analysis.results import Place
from selfcorrect.analysis.statistics import holm, share
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
    assert found.keys() == {of.name for of in CLAIMS if of.about != "programs"}
    assert found["base loses"].verdict == "reproduced"
    assert {of.verdict for name, of in found.items() if name != "base loses"} == {"not tested"}


def everything() -> tuple[MethodRow, ...]:
    names = dict.fromkeys((*RIVALS, "score", "stage1"))
    return tuple(MethodRow(name=name, label=name, tables=("main",)) for name in names)


def test_the_ablations_are_a_family(write_grades):
    """Of eight claims four are finished; the others count as if nothing had come of them."""
    job = make_job().model_copy(update={"methods": everything()})
    evidence = read_evidence(job, [
        write_grades("score", GAINS),
        write_grades("single_turn_rl", LOSES),
        write_grades("score_without_stage1", UNCLEAR),
    ])  # fmt: skip
    family = [of for of in CLAIMS if of.family]
    alone = [of.measure(evidence, "carry") for of in family]
    assert sum(of is not None for of in alone) == 4
    adjusted = holm([1.0 if of is None else of.p for of in alone])
    found = {of.claim.name: of for of in findings(evidence, "carry")}
    for claim, of, p in zip(family, alone, adjusted, strict=True):
        if of is None:
            assert found[claim.name].verdict == "not tested"
        else:
            assert found[claim.name].p == pytest.approx(p)
            assert p > of.p


def test_a_share_has_the_interval_of_a_share(write_grades):
    """That of a difference has values below 0."""
    evidence = read_evidence(make_job(), [write_grades("base", ["rr"] * 98 + ["rw"] * 2)])
    found = changed("base")(evidence, "carry")
    differ = np.array([[0.0] * 98 + [1.0] * 2])
    assert found.difference == share(differ)
    assert found.difference.low > 0


def traces(up: int, down: int, kept: int = 30) -> list[str]:
    """100 problems, of which ``kept`` stay right."""
    return ["rr"] * kept + ["wr"] * up + ["rw"] * down + ["ww"] * (100 - kept - up - down)


BEHAVIOUR = {  # wrong to right, right to wrong, of 100 problems; right at both, if not 30
    "base": (4, 16), "self_refine": (5, 9), "star_d": (6, 20), "star_d_plus": (2, 1),
    "pair_sft_d": (8, 6), "pair_sft_d_plus": (1, 3), "single_turn_rl": (3, 22),
    "multi_turn_rl_last": (2, 1, 60), "multi_turn_rl_sum": (1, 0), "stage1": (20, 7),
    "score": (40, 3), "score_without_stage1": (25, 6), "score_without_shaping": (24, 4),
    "score_star_stage2": (30, 5), "score_gamma": (2, 1),
}  # fmt: skip
T2 = {name: traces(*of).count("rr") + traces(*of).count("wr") for name, of in BEHAVIOUR.items()}
T1 = {name: traces(*of).count("rr") + traces(*of).count("rw") for name, of in BEHAVIOUR.items()}
DELTAS = {name: T2[name] - T1[name] for name in BEHAVIOUR}
PROGRAMS = {
    "base gains": DELTAS["base"], "Pair-SFT repairs": 100 * (2 / 4 - 1 / 4),
    "Pair-SFT loses": DELTAS["pair_sft_d"], "offline repair": 100 * (3 / 4 - 1 / 4),
}  # fmt: skip
OTHERS = {"base loses": DELTAS["base"], "Pair-SFT": DELTAS["pair_sft_d"]}
EXPECTED = {
    "prompting": DELTAS["self_refine"], "STaR": DELTAS["star_d"],
    "STaR collapse": DELTAS["star_d_plus"], "Pair-SFT collapse": 4,
    "Pair-SFT mismatch": 100 * (6 / 8 - 2 / 8),
    "single-turn RL": T1["single_turn_rl"] - T1["base"],
    "single-turn RL loses": DELTAS["single_turn_rl"],
    "RL t1": T1["multi_turn_rl_last"] - T1["base"], "RL t2": 62 - T2["base"],
    "RL gains nothing, last": 1, "RL collapse, last": 3,
    "RL gains nothing, sum": 1, "RL collapse, sum": 1,
    "Stage I anchors": T1["stage1"] - T1["base"], "Stage I decouples": T2["stage1"] - T2["base"],
    "Stage I changes": 57 - 69,
    "SCoRe gains": DELTAS["score"], "SCoRe t2": T2["score"] - T2["base"],
    "SCoRe corrects": 40 - 4, "SCoRe's rate": 100 * (40 / 67 - 4 / 54),
    "SCoRe breaks less": 3 - 16, "SCoRe edits": 57 - 97,
    "SCoRe is best": T2["score"] - T2["multi_turn_rl_last"],
    "votes": 100 * (1 - 0.5), "further attempts": 10, "base's further attempts": 0, "γ = 0": 3,
    **{
        f"{name}: {what}": of["score"] - of[method]
        for method, name in {
            "single_turn_rl": "multi-turn training", "score_without_stage1": "Stage I",
            "score_without_shaping": "the bonus", "score_star_stage2": "on-policy Stage II",
        }.items()
        for what, of in {"gain": DELTAS, "t2": T2}.items()
    },
}  # fmt: skip


def whole_run(write_grades, programming: bool) -> Evidence:
    """All methods; SCoRe's third attempts put 10 problems right that its second ones have wrong."""
    repairs = {"base": ["wr", "ww", "ww", "ww"], "score": ["wr", "wr", "wr", "ww"],
               "pair_sft_d": ["wr", "wr", "ww", "ww"]}  # fmt: skip
    graded = []
    for name, behaviour in BEHAVIOUR.items():
        made = traces(*behaviour)
        if name == "score":
            wrong = [at for at, trace in enumerate(made) if trace[-1] == "w"]
            made = [trace + ("r" if at in wrong[:10] else trace[-1])
                    for at, trace in enumerate(made)]  # fmt: skip
        if name == "base":
            made = [trace + trace[-1] for trace in made]
        graded.append(write_grades(name, made, repairs=repairs.get(name, ())))
    tasks = ("carry",) if programming else ()
    job = make_job().model_copy(update={"methods": everything(), "programming": tasks})
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
    )


@pytest.mark.parametrize("programming", [False, True])
def test_every_claim_measures_what_it_says(write_grades, programming):
    found = findings(whole_run(write_grades, programming), "carry")
    found = {of.claim.name: of for of in found}
    measured = {name: of.difference.value for name, of in found.items()}
    assert measured == pytest.approx(EXPECTED | (PROGRAMS if programming else OTHERS))
    assert {of.seeds for of in found.values()} == {1}


def test_what_is_claimed_of_the_paper_is_reproduced_by_such_a_run(write_grades):
    """Of a run that behaves as the claims say, none is refuted."""
    found = findings(whole_run(write_grades, programming=False), "carry")
    refuted = {of.claim.name for of in found if of.verdict == "not reproduced"}
    assert not refuted


def test_the_difference_of_two_deltas_is_paired(write_grades):
    evidence = read_evidence(make_job(), [
        write_grades("base", LOSES), write_grades("score", GAINS),
        write_grades("single_turn_rl", [*GAINS[:-1], "wr"]),
    ])  # fmt: skip
    (claim,) = (of for of in CLAIMS if of.name == "multi-turn training: gain")
    difference = claim.measure(evidence, "carry").difference
    assert difference.value == pytest.approx(-1 / 60)
    assert difference.high - difference.low < 0.12  # unpaired it would be 0.5


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


@pytest.mark.parametrize(("there", "verdict"), [(1, "undecided"), (2, "reproduced")])
def test_a_verdict_of_some_seeds_says_so(write_grades, there, verdict):
    """And one seed alone of several decides nothing: its interval is about one model."""
    job = make_job(seeds=(0, 1, 2))
    evidence = read_evidence(job, [write_grades("base", LOSES, seed=at) for at in range(there)])
    shown = {table.name: table for table, _ in tables.tables(evidence)}["claims"]
    assert shown.groups["carry"][0][1].text == f"{verdict} ({there} of 3 seeds)"


def test_claims_that_only_figures_attempts_decide_are_left_out_without_these(write_grades):
    evidence = whole_run(write_grades, programming=False)
    views = {of.name for of in CLAIMS if of.view}
    assert views
    for without in ({}, {"voting": {}, "snapshots": {}}):
        (made,) = (of for of in tables.tables(replace(evidence, **without))
                   if of[0].name == "claims")  # fmt: skip
        table, numbers = made
        assert views.isdisjoint(numbers["claim"]) == bool(without)
        assert any("Left out" in note for note in table.notes) == bool(without)


def test_a_sorted_claim_still_says_what_it_is_about():
    texts = [of.text for of in CLAIMS]
    assert len(set(texts)) == len(texts)
    assert not any(text.startswith("...") for text in texts)


def test_a_seed_that_had_nothing_to_learn_from_decides_no_mismatch(write_grades):
    def kept(step: int, own: int, fixed: int) -> pd.DataFrame:
        start = attempt_rows(["ww"] * 8, "own-0") + attempt_rows(["ww"] * 8, "fixed-0")
        rows = [["wr"] * right + ["ww"] * (8 - right) for right in (own, fixed)]
        later = attempt_rows(rows[0], f"own-{step}") + attempt_rows(rows[1], f"fixed-{step}")
        return pd.DataFrame(start + later if step else start)

    job = make_job(seeds=(0, 1)).model_copy(update={"methods": everything()})
    evidence = replace(
        read_evidence(job, [write_grades("base", LOSES)]),
        snapshots={Place("carry", "pair_sft_d", seed): kept(step, 2, 6)
                   for seed, step in ((0, 5), (1, 0))},
    )  # fmt: skip
    (claim,) = (of for of in CLAIMS if of.name == "Pair-SFT mismatch")
    (found,) = findings(evidence, "carry", [claim])
    assert found.difference.value == pytest.approx(50) and found.seeds == 1
