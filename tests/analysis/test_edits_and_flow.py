"""Edit ratios, correction during fine-tuning, and flows, by hand and by other ways of counting."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import attempt_rows

from selfcorrect.analysis.edits import edit_ratio, edit_ratios
from selfcorrect.analysis.flow import flow, known, mistakes
from selfcorrect.analysis.metrics import outcomes
from selfcorrect.analysis.tracking import corrections

short = st.text("abc", max_size=6)


def distance(one: str, other: str) -> int:
    """The textbook's recursion."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        distance(one[1:], other) + 1,
        distance(one, other[1:]) + 1,
        distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(short, short)
def test_the_ratio_is_the_distance_over_both_lengths(one, other):
    expected = distance(one, other) / (len(one) + len(other)) if one or other else 0
    assert edit_ratio(one, other) == pytest.approx(expected)


def test_ratios_are_of_first_and_second_attempts():
    rows = pd.DataFrame(attempt_rows(["rrw", "rwr"]) + attempt_rows(["rw"], "sampled"))
    assert sorted(edit_ratios(rows, "greedy")) == [0.0, 0.5]


def test_corrections_are_read_by_step():
    rows = pd.DataFrame([
        row
        for name, traces in {
            "own-0": ["ww", "wr", "rr"], "fixed-0": ["wr", "wr", "rw"],
            "own-12": ["rr", "wr", "rr"], "fixed-12": ["ww", "wr", "rr"],
        }.items()
        for row in attempt_rows(traces, name)
    ])  # fmt: skip
    found = corrections(rows)
    assert list(found["own"]) == [0, 12]
    assert found["own"][0].wrong.tolist() == [1, 1, 0]
    assert found["own"][0].corrected.tolist() == [0, 1, 0]
    assert found["fixed"][12].corrected.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="unknown decoding"):
        corrections(pd.DataFrame(attempt_rows(["rr"], "greedy")))


@given(st.lists(st.text("rw", min_size=4, max_size=4), min_size=1, max_size=8))
def test_a_flow_is_counted_and_sums_to_one(traces):
    found = flow(outcomes(pd.DataFrame(attempt_rows(traces)), "greedy"))
    np.testing.assert_allclose(sum(found), 1)
    for at in range(3):
        pairs = [trace[at : at + 2] for trace in traces]
        for part, pair in zip(found, ("rr", "wr", "rw", "ww"), strict=True):
            assert part[at] == pytest.approx(pairs.count(pair) / len(traces))


def test_mistakes_are_crossed_right_ones_first():
    rows = pd.DataFrame(attempt_rows(["rr", "rw", "wr", "ww", "ww"]))
    table = mistakes(rows)
    assert list(table.index) == list(table.columns) == ["right", "slip"]
    assert table.to_numpy().tolist() == [[0.2, 0.2], [0.2, 0.4]]
    assert known(rows)
    assert not known(rows.assign(error=None))
