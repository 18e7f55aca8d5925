"""What the verdicts on the claims hang on."""

import pytest
from synthetic import make_job

from selfcorrect.analysis import statistics
from selfcorrect.analysis.claims import CLAIMS, Claim, findings, of_one
from selfcorrect.analysis.evidence import read_evidence

LOSES = ["rr"] * 20 + ["rw"] * 20 + ["wr"] * 2 + ["ww"] * 18
GAINS = ["rr"] * 20 + ["rw"] * 2 + ["wr"] * 20 + ["ww"] * 18
STAYS = ["rr"] * 200 + ["ww"] * 200
UNCLEAR = ["rr"] * 20 + ["rw"] * 6 + ["wr"] * 3 + ["ww"] * 31


def delta(direction: str) -> Claim:
    return Claim("c", "text", "Table 1", "Δ", direction, of_one("base", "t2", "t1"))


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
])  # fmt: skip
def test_the_verdict_follows_from_the_test(write_grades, job, traces, direction, verdict):
    evidence = read_evidence(job, [write_grades("base", traces)])
    (found,) = findings(evidence, "carry", [delta(direction)])
    assert found.verdict == verdict


def test_what_was_not_run_is_not_tested(write_grades, job):
    evidence = read_evidence(job, [write_grades("base", LOSES)])
    found = {of.claim.name: of for of in findings(evidence, "carry")}
    assert found.keys() == {claim.name for claim in CLAIMS}
    assert found["base loses"].verdict == "reproduced"
    assert {of.verdict for name, of in found.items() if name != "base loses"} == {"not tested"}


def test_the_ablations_are_a_family(write_grades):
    """Two comparisons, each significant alone: the larger p counts once, the smaller twice."""
    job = make_job()
    graded = [write_grades("base", LOSES), write_grades("score", GAINS),
              write_grades("single_turn_rl", LOSES)]  # fmt: skip
    evidence = read_evidence(job, graded)
    (alone,) = (of for of in CLAIMS if of.name == "multi-turn training")
    compared = alone.measure(evidence, "carry")
    found = {of.claim.name: of for of in findings(evidence, "carry")}
    assert found["multi-turn training"].p == pytest.approx(compared.p)
    assert found["multi-turn training"].verdict == "reproduced"
    assert found["Stage I matters"].verdict == "not tested"


def test_the_difference_of_two_deltas_is_paired(write_grades):
    evidence = read_evidence(make_job(), [
        write_grades("base", LOSES), write_grades("score", GAINS),
        write_grades("single_turn_rl", LOSES),
    ])  # fmt: skip
    (claim,) = (of for of in CLAIMS if of.name == "multi-turn training")
    compared = claim.measure(evidence, "carry")
    assert compared.difference.value == pytest.approx((18 + 18) / 60)


def test_the_best_other_method_is_the_one_to_beat(write_grades):
    evidence = read_evidence(make_job(), [
        write_grades("base", LOSES), write_grades("score", GAINS),
        write_grades("stage1", STAYS[:60]),
    ])  # fmt: skip
    (claim,) = (of for of in CLAIMS if of.name == "SCoRe is best")
    found = claim.measure(evidence, "carry")
    assert found.difference.value == pytest.approx(40 / 60 - 1)  # stage1 is right on all 60
    assert isinstance(found, statistics.Comparison)
