"""pass@k against the mean over all subsets of k attempts."""

from itertools import combinations

import numpy as np
import pytest

from selfcorrect.analysis.pass_at_k import pass_at_k


def by_hand(n, c, k):
    right = [True] * c + [False] * (n - c)
    return np.mean([any(subset) for subset in combinations(right, k)])


@pytest.mark.parametrize("n", range(1, 9))
def test_it_is_the_share_of_subsets_with_a_right_attempt(n):
    for k in range(1, n + 1):
        expected = [by_hand(n, c, k) for c in range(n + 1)]
        np.testing.assert_allclose(pass_at_k(n, np.arange(n + 1), k), expected, atol=1e-15)


def test_it_is_unbiased():
    n, k, p = 10, 4, 0.3
    right = np.random.default_rng(0).binomial(n, p, size=200_000)
    assert abs(pass_at_k(n, right, k).mean() - (1 - (1 - p) ** k)) < 2e-3


def test_pass_at_1_is_the_mean():
    right = np.arange(33)
    np.testing.assert_allclose(pass_at_k(32, right, 1), right / 32)


def test_many_attempts_neither_overflow_nor_lose_digits():
    assert pass_at_k(100_000, 0, 1000) == 0
    assert pass_at_k(100_000, 100_000, 1000) == 1
    # one right attempt is among k of n with chance k / n
    np.testing.assert_allclose(pass_at_k(100_000, 1, 1000), 0.01)


def test_problems_may_differ_in_attempts_and_shape():
    n, c = np.array([[4], [6]]), np.array([0, 1, 2])
    found = pass_at_k(n, c, 3)
    assert found.shape == (2, 3)
    assert found.dtype == np.float64
    assert found[1, 2] == pytest.approx(by_hand(6, 2, 3))
    assert pass_at_k([], [], 1).shape == (0,)


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (4, 1, 5, "not k = 5 of n = 4"),
        ([8, 4], [1, 1], 5, "not k = 5 of n = 4"),
        (4, 1, 0, "not k = 0"),
        (4, 5, 2, "0 <= c <= n"),
        (4, -1, 2, "0 <= c <= n"),
    ],
)
def test_what_has_no_answer_is_refused(n, c, k, message):
    with pytest.raises(ValueError, match=message):
        pass_at_k(n, c, k)
