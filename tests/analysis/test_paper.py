"""The paper's numbers are consistent in themselves."""

import pytest

from selfcorrect import paper

ROWS = [
    pytest.param(row, id=f"{table}-{name}")
    for table in ("MATH", "CODE", "ABLATIONS")
    for name, row in getattr(paper, table).items()
]


@pytest.mark.parametrize("row", ROWS)
def test_delta_is_the_difference_of_the_attempts(row):
    assert row.delta == pytest.approx(row.t2 - row.t1, abs=1e-9)


@pytest.mark.parametrize("row", [row for row in ROWS if row.values[0].i_to_c is not None])
def test_delta_is_what_is_gained_minus_what_is_lost(row):
    assert row.delta == pytest.approx(row.i_to_c - row.c_to_i, abs=1e-9)


def test_score_is_the_same_row_in_the_results_and_the_ablations():
    main, ablation = paper.MATH["score"], paper.ABLATIONS["score"]
    assert (main.t1, main.t2, main.delta) == (ablation.t1, ablation.t2, ablation.delta)
