"""Shaping, credit, baselines, adaptive β2: worked examples, and identities on any rewards."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from selfcorrect.learning.rewards import (
    advantages,
    annealed,
    balanced_beta2,
    returns,
    shaped_rewards,
)

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

binary = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.sampled_from([0.0, 1.0]),
)
alphas = st.floats(0, 20)
gammas = st.floats(0, 1)
two_to_four = st.integers(2, 4)
WRONG_RIGHT, RIGHT_WRONG = [0.0, 1.0], [1.0, 0.0]
TRANSITIONS = np.array([[0.0, 0.0], WRONG_RIGHT, RIGHT_WRONG, [1.0, 1.0]])


# --- shaping ----------------------------------------------------------------------------------


def test_the_bonus_is_on_the_second_attempt_only():
    shaped = shaped_rewards(TRANSITIONS, alpha=10, rewarded="all")
    assert shaped.tolist() == [[0, 0], [0, 11], [1, -10], [1, 1]]


def test_stage_one_pays_every_attempt_but_the_first():
    assert shaped_rewards(TRANSITIONS, 0, "revisions").tolist() == [[0, 0], [0, 1], [0, 0], [0, 1]]
    three = np.array([[1.0, 0.0, 1.0]])
    assert shaped_rewards(three, 10, "revisions").tolist() == [[0, -10, 11]]


def test_a_bonus_for_each_of_three_attempts():
    rewards = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    assert shaped_rewards(rewards, 2, "all").tolist() == [[0, 3, -2], [1, -2, 3]]
    assert shaped_rewards(rewards, 2, "revisions").tolist() == [[0, 3, -2], [0, -2, 3]]


@given(binary, alphas)
def test_the_bonuses_telescope(rewards, alpha):
    shaped = shaped_rewards(rewards, alpha, "all")
    gained = rewards[:, -1] - rewards[:, 0]
    np.testing.assert_allclose(shaped.sum(1), rewards.sum(1) + alpha * gained, atol=1e-9)
    np.testing.assert_array_equal(shaped[:, 0], rewards[:, 0])


@given(binary, alphas)
def test_revisions_are_paid_as_ever(rewards, alpha):
    revisions, every = (shaped_rewards(rewards, alpha, which) for which in ("revisions", "all"))
    np.testing.assert_array_equal(revisions[:, 1:], every[:, 1:])
    assert not revisions[:, 0].any()


@given(binary, alphas, gammas)
def test_inputs_are_left_as_they_were(rewards, alpha, gamma):
    """`Accuracy` must stay the mean of r(y, y*), so shaping may not write into it."""
    before = rewards.copy()
    shaped = shaped_rewards(rewards, alpha, "all")
    np.testing.assert_array_equal(rewards, before)
    kept = shaped.copy()
    credit = returns(shaped, gamma)
    np.testing.assert_array_equal(shaped, kept)
    advantages(credit, np.zeros(len(credit), np.int64), "none")[:] = np.nan
    assert np.isfinite(credit).all()


def test_boolean_rewards_are_taken_as_numbers():
    shaped = shaped_rewards(TRANSITIONS[:3].astype(np.int64), 0.5, "all")
    assert shaped.tolist() == [[0, 0], [0, 1.5], [1, -0.5]]


# --- credit -----------------------------------------------------------------------------------


@given(binary, alphas)
def test_without_discounting_an_attempt_keeps_its_own_reward(rewards, alpha):
    shaped = shaped_rewards(rewards, alpha, "all")
    np.testing.assert_array_equal(returns(shaped, 0.0), shaped)


@given(binary, alphas, gammas)
def test_credit_is_the_discounted_sum_of_what_follows(rewards, alpha, gamma):
    shaped = shaped_rewards(rewards, alpha, "all")
    turns = shaped.shape[1]
    expected = [
        [sum(gamma ** (j - i) * row[j] for j in range(i, turns)) for i in range(turns)]
        for row in shaped
    ]
    np.testing.assert_allclose(returns(shaped, gamma), expected, atol=1e-9)


def test_joint_credit_pays_for_a_wrong_first_attempt_and_ours_does_not():
    """One joint reward for both turns: with α > 1, wrong → right beats right → right at turn 1."""
    wrong_right, right_right = 1, 3
    shaped = shaped_rewards(TRANSITIONS, 10, "all")
    joint = returns(shaped, 1.0)[:, 0]
    assert joint[wrong_right] > joint[right_right]
    ours = returns(shaped, 0.0)[:, 0]
    assert ours[wrong_right] < ours[right_right]


# --- baselines --------------------------------------------------------------------------------


@st.composite
def groups(draw, samples=two_to_four):
    """Credit [B, n] and the prompt of each trace, traces of a prompt not necessarily together."""
    per_prompt, prompts = draw(samples), draw(st.integers(1, 4))
    turns = draw(st.integers(1, 3))
    shape = (per_prompt * prompts, turns)
    credit = draw(arrays(np.float64, shape, elements=st.floats(-11, 11)))
    owner = draw(st.permutations(list(np.repeat(np.arange(prompts), per_prompt))))
    return credit, np.array(owner, dtype=np.int64)


def test_leave_one_out_by_hand():
    credit = np.array([[1.0, 11.0], [0.0, 0.0], [0.0, 1.0], [1.0, -10.0], [1.0, 1.0]])
    prompts = np.array([7, 3, 7, 7, 3])
    expected = [[0.5, 15.5], [-1, -1], [-1, 0.5], [0.5, -16], [1, 1]]
    np.testing.assert_allclose(advantages(credit, prompts, "leave_one_out"), expected)


@given(groups())
def test_leave_one_out_sums_to_zero_over_a_prompt(drawn):
    credit, prompts = drawn
    advantage = advantages(credit, prompts, "leave_one_out")
    assert advantage.shape == credit.shape
    for prompt in np.unique(prompts):
        np.testing.assert_allclose(advantage[prompts == prompt].sum(0), 0, atol=1e-9)


@given(groups())
def test_a_baseline_does_not_see_its_own_trace(drawn):
    """Changing one trace's credit by δ changes its own advantage by δ: the baseline stood still."""
    credit, prompts = drawn
    changed = credit.copy()
    changed[0] += 3.0
    for baseline in ("leave_one_out", "batch_mean", "none"):
        moved = advantages(changed, prompts, baseline) - advantages(credit, prompts, baseline)
        np.testing.assert_allclose(moved[0], 3.0, atol=1e-9)


@given(groups())
def test_other_prompts_do_not_matter_to_leave_one_out(drawn):
    credit, prompts = drawn
    own = prompts == prompts[0]
    alone = advantages(credit[own], prompts[own], "leave_one_out")
    np.testing.assert_allclose(advantages(credit, prompts, "leave_one_out")[own], alone, atol=1e-9)


@given(groups(), st.randoms(use_true_random=False))
def test_advantages_follow_the_order_of_the_batch(drawn, random):
    credit, prompts = drawn
    order = list(range(len(credit)))
    random.shuffle(order)
    for baseline in ("leave_one_out", "batch_mean", "none"):
        np.testing.assert_allclose(
            advantages(credit[order], prompts[order], baseline),
            advantages(credit, prompts, baseline)[order],
            atol=1e-9,
        )


@given(groups(samples=st.just(3)))
def test_batch_mean_is_leave_one_out_over_the_whole_batch(drawn):
    credit, prompts = drawn
    expected = [row - np.delete(credit, i, axis=0).mean(0) for i, row in enumerate(credit)]
    np.testing.assert_allclose(advantages(credit, prompts, "batch_mean"), expected, atol=1e-9)


def test_turns_have_baselines_of_their_own():
    credit = np.array([[0.0, 5.0], [0.0, 7.0]])
    prompts = np.zeros(2, np.int64)
    assert advantages(credit, prompts, "leave_one_out").tolist() == [[0, -2], [0, 2]]


def test_a_baseline_lowers_the_variance():
    """`no baseline` is unbiased but noisy: the second moment over all batches of 4, p = 0.8."""
    share, prompts = 0.8, np.zeros(4, np.int64)
    moments = {}
    for baseline in ("leave_one_out", "none"):
        total = 0.0
        for verdicts in itertools.product([0.0, 1.0], repeat=4):
            probability = np.prod([share if right else 1 - share for right in verdicts])
            advantage = advantages(np.array(verdicts)[:, None], prompts, baseline)
            total += probability * (advantage**2).mean()
        moments[baseline] = total
    assert moments["none"] == pytest.approx(share)
    assert moments["leave_one_out"] == pytest.approx(share * (1 - share) * 4 / 3)


@pytest.mark.parametrize(
    ("baseline", "prompts"), [("leave_one_out", [0, 0, 1]), ("batch_mean", [0])]
)
def test_a_trace_without_company_is_refused(baseline, prompts):
    with pytest.raises(ValueError, match=baseline):
        advantages(np.ones((len(prompts), 2)), np.array(prompts), baseline)


# --- adaptive β2 ------------------------------------------------------------------------------

positive = st.floats(1e-4, 1e4)
non_negative = st.just(0.0) | positive


def test_beta2_falls_to_zero_within_its_steps():
    assert [annealed(0.4, 4, step) for step in range(6)] == pytest.approx(
        [0.4, 0.3, 0.2, 0.1, 0, 0]
    )
    assert [annealed(0.4, 0, step) for step in (0, 1000)] == [0.4, 0.4]


def test_beta2_moves_towards_balance():
    def move(objective: float, kl: float) -> float:
        return balanced_beta2(0.1, 0.1, objective, kl, rate=0.05, max_factor=10)

    assert move(objective=1.0, kl=0.5) == pytest.approx(0.1 * np.exp(0.05))  # anchor too weak
    assert move(objective=0.01, kl=5.0) == pytest.approx(0.1 * np.exp(-0.05))  # too strong
    assert move(objective=0.05, kl=0.5) == pytest.approx(0.1)  # balanced
    assert move(objective=0.06, kl=0.5) == pytest.approx(0.1 * 1.2**0.05)  # nearly balanced


def test_beta2_settles_where_the_magnitudes_are_equal():
    beta2 = 0.1
    for _ in range(500):
        beta2 = balanced_beta2(beta2, 0.1, objective=0.3, kl=1.0, rate=0.1, max_factor=10)
    assert beta2 * 1.0 == pytest.approx(0.3)


@given(st.floats(0.1, 10), positive, non_negative, non_negative, st.floats(0, 2), st.floats(1, 20))
def test_beta2_stays_in_its_bounds(ratio, start, objective, kl, rate, max_factor):
    beta2 = float(np.clip(ratio, 1 / max_factor, max_factor)) * start
    moved = balanced_beta2(beta2, start, objective, kl, rate, max_factor)
    assert start / max_factor * (1 - 1e-9) <= moved <= start * max_factor * (1 + 1e-9)
    assert abs(np.log(moved / beta2)) <= rate + 1e-9


@given(positive, non_negative, non_negative)
def test_rate_zero_keeps_beta2(beta2, objective, kl):
    assert balanced_beta2(beta2, beta2, objective, kl, 0.0, 10.0) == beta2


@pytest.mark.parametrize("kl", [0.0, -1e-9, -1e-3])
def test_a_kl_that_rounding_made_negative_counts_as_none(kl):
    """A policy near its reference has an exact KL of ±1e-8 in float32: no NaN may come of it."""
    moved = balanced_beta2(0.1, 0.1, objective=0.5, kl=kl, rate=0.05, max_factor=10)
    assert moved == pytest.approx(0.1 * np.exp(0.05))
