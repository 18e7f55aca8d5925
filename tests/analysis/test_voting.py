"""Majority votes against a count over all ways to break ties, and what curves are made of."""

import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfcorrect.analysis import voting

answers = st.one_of(st.none(), st.sampled_from("abc"))


def by_hand(votes):
    """Draw the winner among the leading answers, each in turn."""
    counts = Counter(answer for answer, _ in votes if answer is not None)
    leading = [answer for answer in counts if counts[answer] == max(counts.values())]
    right = {answer for answer, is_right in votes if is_right}
    return np.mean([answer in right for answer in leading]) if leading else 0.0


@given(st.lists(answers, min_size=1, max_size=9), st.sampled_from("abc"))
def test_a_vote_is_the_chance_over_ties(given_answers, gold):
    votes = [(answer, answer == gold) for answer in given_answers]
    assert voting.chance(votes) == pytest.approx(by_hand(votes))


@given(st.lists(answers, min_size=1, max_size=7), st.sampled_from("abc"), st.randoms())
def test_no_vote_hangs_on_an_order(given_answers, gold, random):
    votes = [(answer, answer == gold) for answer in given_answers]
    shuffled = random.sample(votes, len(votes))
    assert voting.chance(votes) == pytest.approx(voting.chance(shuffled))


@pytest.mark.parametrize(("votes", "expected"), [
    ([("1", True)], 1.0),
    ([("1", True), ("2", False)], 0.5),
    ([("1", True), ("2", False), ("3", False)], 1 / 3),
    ([("1", True), ("2", False), ("2", False)], 0.0),
    ([("1", True), (None, False), (None, False)], 1.0),  # who says nothing has no vote
    ([(None, False), (None, False)], 0.0),
])  # fmt: skip
def test_votes_by_hand(votes, expected):
    assert voting.chance(votes) == pytest.approx(expected)


def test_samples_make_as_many_votes_as_they_can():
    votes = [("1", True), ("2", False), ("1", True), ("1", True), ("3", False)]
    assert voting.accuracy(votes, 1) == pytest.approx(3 / 5)
    assert voting.accuracy(votes, 2) == pytest.approx((0.5 + 1.0) / 2)
    assert voting.accuracy(votes, 5) == 1.0
    with pytest.raises(ValueError, match="a vote of 6 among 5"):
        voting.accuracy(votes, 6)


def test_budgets_double():
    assert voting.budgets(32) == [2, 4, 8, 16, 32]
    assert voting.budgets(6) == [2, 4]


def test_half_as_many_corrected_samples_vote():
    """Two problems, four samples; the corrected votes are the first two second attempts, ..."""
    first = {"p0": ["a", "b", "a", "a"], "p1": ["a", "b", "b", "c"]}
    second = {"p0": ["a", "a", "b", "b"], "p1": ["a", "a", "a", None]}
    rows = [
        {"problem": problem, "sample": sample, "turn": turn, "answer": answer,
         "verdict": "right" if answer == "a" else "wrong"}
        for turn, of in ((1, first), (2, second))
        for problem, said in of.items()
        for sample, answer in enumerate(said)
    ]  # fmt: skip
    for shuffled in itertools.islice(itertools.permutations(rows, len(rows)), 2):
        curves = voting.curves(pd.DataFrame(shuffled))
        assert list(curves) == [2, 4]
        parallel, corrected = curves[4]
        assert parallel.tolist() == [1.0, 0.0]
        assert corrected.tolist() == [0.5, 1.0]
        parallel, corrected = curves[2]
        assert parallel.tolist() == [0.75, 0.25]
        assert corrected.tolist() == [0.5, 0.75]


@pytest.mark.parametrize(("answer", "verdict", "expected"), [
    ("1/2", "right", ("1/2", True)),
    ("2", "wrong", ("2", False)),
    ("def f(): ...", "right", ("def f(): ...", True)),
    ("def f(): ...", "timeout", ("def f(): ...", False)),
    (None, "unparsed", (None, False)),
    (r"\text{}", "unparsed", (None, False)),
    ("12", "truncated", (None, False)),
])  # fmt: skip
def test_what_an_attempt_votes_for(answer, verdict, expected):
    assert voting.vote(answer, verdict) == expected


def test_no_vote_knows_the_gold_answer():
    """Right answers in two notations are outvoted by a wrong one that is written in one."""
    graded = [("1/2", "right")] * 3 + [("0.5", "right")] * 3 + [("1/3", "wrong")] * 4
    assert voting.chance([voting.vote(*each) for each in graded]) == 0.0


@pytest.mark.parametrize("change", [lambda rows: rows[1:], lambda rows: [*rows[:-1], rows[0]]])
def test_votes_of_incomplete_attempts_are_refused(change):
    rows = [{"problem": problem, "sample": sample, "turn": turn, "answer": "a", "verdict": "right"}
            for problem in "pq" for sample in range(2) for turn in (1, 2)]  # fmt: skip
    assert voting.curves(pd.DataFrame(rows))
    with pytest.raises(ValueError, match="missing or doubled"):
        voting.curves(pd.DataFrame(change(rows)))
