"""Metrics against counting in a loop."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from synthetic import attempt_rows

from selfcorrect.analysis.metrics import accuracy_by_turn, outcomes, per_problem


def random_grades(seed: int, problems: int = 40, samples: int = 3, turns: int = 4) -> pd.DataFrame:
    letters = np.random.default_rng(seed).choice(list("rrwwut"), (problems * samples, turns))
    rows = attempt_rows(["".join(row) for row in letters], "sampled", samples)
    return pd.DataFrame(rows).sample(frac=1, random_state=seed)


def test_metrics_equal_a_count_by_hand():
    traces = ["rr", "rw", "wr", "ww", "tr", "ru", "ut", "rr"]
    of = per_problem(outcomes(pd.DataFrame(attempt_rows(traces)), "greedy"))
    sums = {name: values.sum() for name, values in of.items()}
    assert sums == {"t1": 4, "t2": 4, "i_to_c": 2, "c_to_i": 2, "same": 3, "truncated": 2}


@pytest.mark.parametrize("seed", range(3))
def test_sampled_metrics_are_means_over_a_problems_traces(seed):
    grades = random_grades(seed)
    found = per_problem(outcomes(grades, "sampled"))
    traces = defaultdict(dict)
    for row in grades.itertuples():
        traces[row.problem, row.sample][row.turn] = row
    expected = defaultdict(lambda: defaultdict(list))
    for (problem, _), trace in traces.items():
        right = {turn: row.verdict == "right" for turn, row in trace.items()}
        expected["t1"][problem].append(right[1])
        expected["t2"][problem].append(right[2])
        expected["i_to_c"][problem].append(right[2] and not right[1])
        expected["c_to_i"][problem].append(right[1] and not right[2])
        expected["same"][problem].append(trace[1].text == trace[2].text)
        expected["truncated"][problem].append("truncated" in (trace[1].verdict, trace[2].verdict))
    for name, by_problem in expected.items():
        means = [np.mean(by_problem[problem]) for problem in sorted(by_problem)]
        np.testing.assert_allclose(found[name], means)


@pytest.mark.parametrize("seed", range(3))
def test_delta_is_gained_minus_lost_exactly(seed):
    of = outcomes(random_grades(seed), "sampled")
    first, second = of.right[..., 0], of.right[..., 1]
    gained, lost = (~first & second).sum(), (first & ~second).sum()
    assert int(second.sum()) - int(first.sum()) == int(gained) - int(lost)
    shares = per_problem(of)
    assert (shares["i_to_c"] - shares["c_to_i"]).sum() * 3 == pytest.approx(int(gained - lost))


def test_accuracy_by_turn_has_every_turn():
    grades = pd.DataFrame(attempt_rows(["wwrr", "wrrw", "rtrr"]))
    np.testing.assert_allclose(
        accuracy_by_turn(outcomes(grades, "greedy")).mean(axis=0), [1 / 3, 1 / 3, 1, 2 / 3]
    )


def test_the_order_of_rows_does_not_matter():
    grades = random_grades(0)
    one, other = outcomes(grades, "sampled"), outcomes(grades[::-1], "sampled")
    np.testing.assert_array_equal(one.right, other.right)
    np.testing.assert_array_equal(one.problems, other.problems)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda grades: grades.iloc[1:], "missing or doubled"),
        (lambda grades: pd.concat([grades.iloc[1:], grades.iloc[-1:]]), "missing or doubled"),
        (lambda grades: grades[grades["turn"] == 1], "fewer than two"),
        (lambda grades: grades.replace({"verdict": {"wrong": "perhaps"}}), "perhaps"),
    ],
)
def test_incomplete_attempts_are_refused(change, message):
    grades = pd.DataFrame(attempt_rows(["rr", "rw", "wr"]))
    with pytest.raises(ValueError, match=message):
        outcomes(change(grades), "greedy")
