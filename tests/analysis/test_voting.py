"""Majority votes against a count over all ways to break ties, and what curves are made of."""

import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfcorrect.analysis import voting

answers = st.one_of(st.none(), st.sampled_from("abc"))


def graded(said):
    """Rows of attempts, each an answer and whether it is right, or its verdict."""
    verdicts = {True: "right", False: "wrong"}
    return pd.DataFrame(
        [{"answer": answer, "verdict": verdicts.get(of, of)} for answer, of in said],
        columns=["answer", "verdict"],
    )


def chance(said):
    return float(voting.chance(*voting.votes(graded(said))))


def by_hand(votes):
    """Draw the winner among the leading answers, each in turn."""
    counts = Counter(answer for answer, _ in votes if answer is not None)
    leading = [answer for answer in counts if counts[answer] == max(counts.values())]
    right = {answer for answer, is_right in votes if is_right}
    return np.mean([answer in right for answer in leading]) if leading else 0.0


@given(st.lists(answers, min_size=1, max_size=9), st.sampled_from("abc"))
def test_a_vote_is_the_chance_over_ties(given_answers, gold):
    votes = [(answer, answer == gold) for answer in given_answers]
    assert chance(votes) == pytest.approx(by_hand(votes))


@given(st.lists(answers, min_size=1, max_size=7), st.sampled_from("abc"), st.randoms())
def test_no_vote_hangs_on_an_order(given_answers, gold, random):
    votes = [(answer, answer == gold) for answer in given_answers]
    shuffled = random.sample(votes, len(votes))
    assert chance(votes) == pytest.approx(chance(shuffled))


@pytest.mark.parametrize(("votes", "expected"), [
    ([("1", True)], 1.0),
    ([("1", True), ("2", False)], 0.5),
    ([("1", True), ("2", False), ("3", False)], 1 / 3),
    ([("1", True), ("2", False), ("2", False)], 0.0),
    ([("1", True), (None, False), (None, False)], 1.0),  # who says nothing has no vote
    ([(None, False), (None, False)], 0.0),
])  # fmt: skip
def test_votes_by_hand(votes, expected):
    assert chance(votes) == pytest.approx(expected)


def test_samples_make_as_many_votes_as_they_can():
    votes = [("1", True), ("2", False), ("1", True), ("1", True), ("3", False)]
    answers, right = (of[None] for of in voting.votes(graded(votes)))
    for size, expected in ((1, 3 / 5), (2, (0.5 + 1.0) / 2), (5, 1.0)):
        assert voting.accuracy(answers, right, size).tolist() == pytest.approx([expected])
    with pytest.raises(ValueError, match="a vote of 6 among 5"):
        voting.accuracy(answers, right, 6)


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
    for seed in range(5):
        curves = voting.curves(pd.DataFrame(random.Random(seed).sample(rows, len(rows))))
        assert list(curves) == [2, 4]
        parallel, corrected = curves[4]
        assert parallel.tolist() == [1.0, 0.0]
        assert corrected.tolist() == [0.5, 1.0]
        parallel, corrected = curves[2]
        assert parallel.tolist() == [0.75, 0.25]
        assert corrected.tolist() == [0.5, 0.75]


@pytest.mark.parametrize(("answer", "verdict", "votes", "is_right"), [
    ("1/2", "right", True, True),
    ("2", "wrong", True, False),
    ("def f(): ...", "right", True, True),
    ("def f(): ...", "timeout", True, False),
    (None, "unparsed", False, False),
    (r"\text{}", "unparsed", False, False),
    ("12", "truncated", False, False),
])  # fmt: skip
def test_what_an_attempt_votes_for(answer, verdict, votes, is_right):
    answers, right = voting.votes(graded([("0", "wrong"), (answer, verdict)]))
    assert (answers[1] not in (voting.NONE, answers[0])) == votes
    assert right[1] == is_right


def test_no_vote_knows_the_gold_answer():
    """Right answers in two notations are outvoted by a wrong one that is written in one."""
    assert chance([("1/2", True)] * 3 + [("0.5", True)] * 3 + [("1/3", False)] * 4) == 0.0


@pytest.mark.parametrize("change", [lambda rows: rows[1:], lambda rows: [*rows[:-1], rows[0]]])
def test_votes_of_incomplete_attempts_are_refused(change):
    rows = [{"problem": problem, "sample": sample, "turn": turn, "answer": "a", "verdict": "right"}
            for problem in "pq" for sample in range(2) for turn in (1, 2)]  # fmt: skip
    assert voting.curves(pd.DataFrame(rows))
    with pytest.raises(ValueError, match="missing or doubled"):
        voting.curves(pd.DataFrame(change(rows)))
