"""The loss against brute force: a policy so small that every trace can be enumerated.

The vocabulary is {a, b, EOS} and an attempt has two tokens at most, so there are 7 completions
(4 of them truncated), 49 two-turn traces, 343 of three turns. Prompt, instruction and padding are
written in the same vocabulary: a token wrongly taken for an action would not show by its id.

``exact_gradient`` works on tuples of tokens and single probabilities and shares no code with the
package; ``check`` compares with it the probability-weighted sum of a loss's gradients. The errors
of other reproductions are written out below as losses, and the same ``check`` must refuse them.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfcorrect.learning.policy_gradient import (
    TokenStatistics,
    Totals,
    policy_gradient_loss,
    sampling_gap,
    token_statistics,
)
from selfcorrect.learning.rewards import advantages, returns, shaped_rewards

torch.set_num_threads(1)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

A, B, EOS = 0, 1, 2
PAD = A
INSTRUCTION = (EOS, B)
PROMPTS = ((B, A), (A, B, B))
COMPLETIONS = [(EOS,), *itertools.product((A, B), (A, B, EOS))]
RIGHT = {(A, EOS), (B, A), (B, B)}

Tokens = tuple[int, ...]


class TinyModel(torch.nn.Module):
    """h_t = tanh(E[x_t] + W h_{t−1}), logits_t = O h_t: both turns share every parameter."""

    def __init__(self, seed: int, vocabulary: int = 3, width: int = 5) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def matrix(rows: int, columns: int) -> torch.nn.Parameter:
            values = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
            return torch.nn.Parameter(0.8 * values)

        self.embed, self.carry = matrix(vocabulary, width), matrix(width, width)
        self.out = matrix(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:  # [B, T] -> [B, T, V]
        hidden = self.carry.new_zeros(len(tokens), len(self.carry))
        logits = []
        for position in range(tokens.shape[1]):
            hidden = torch.tanh(self.embed[tokens[:, position]] + hidden @ self.carry)
            logits.append(hidden @ self.out)
        return torch.stack(logits, 1)


@dataclass(frozen=True)
class Case:
    """An objective to check; ``prompts`` are equally likely."""

    attempts: int = 2
    rewarded: str = "all"
    alpha: float = 0.0
    beta1: float = 0.3
    beta2: float = 0.0
    gamma: float = 0.0
    kl: str = "exact"
    temperature: float = 1.0
    baseline: str = "none"
    prompts: tuple[Tokens, ...] = PROMPTS[:1]

    @property
    def coefficients(self) -> list[float]:
        return [self.beta1 + self.beta2] + [self.beta1] * (self.attempts - 1)


STAGE_1 = Case(rewarded="revisions", beta2=0.7)
STAGE_2 = Case(alpha=10.0)


# --- the exact gradient, twice ----------------------------------------------------------------


class Oracle:
    """Next-token distributions of policy and reference after a prefix, one prefix at a time."""

    def __init__(self, policy: TinyModel, reference: TinyModel, temperature: float) -> None:
        self.models, self.temperature = (policy, reference), temperature
        self.known: dict[Tokens, tuple[Tensor, Tensor]] = {}

    def __call__(self, prefix: Tokens) -> tuple[Tensor, Tensor]:
        if prefix not in self.known:
            weights = [torch.exp(m(torch.tensor([prefix]))[0, -1] / self.temperature)
                       for m in self.models]  # fmt: skip
            policy, reference = (w / w.sum() for w in weights)
            self.known[prefix] = policy, reference.detach()
        return self.known[prefix]

    def attempt(self, prefix: Tokens, completion: Tokens) -> tuple[Tensor, Tensor]:
        """π(y | x) and the KL summed over the prefixes that y passes through."""
        probability, divergence = torch.ones(()), torch.zeros(())
        for token in completion:
            policy, reference = self(prefix)
            for vocabulary_entry in range(3):
                p, q = policy[vocabulary_entry], reference[vocabulary_entry]
                divergence = divergence + p * torch.log(p / q)
            probability = probability * policy[token]
            prefix = (*prefix, token)
        return probability, divergence


def reward(completion: Tokens) -> float:
    return 1.0 if completion in RIGHT else 0.0


def own_rewards(case: Case, completions: Sequence[Tokens]) -> list[float]:
    """r̃_i = r_i + α(r_i − r_{i−1}) for i > 1, nothing for the first attempt in Stage I."""
    earned = []
    for i, completion in enumerate(completions):
        bonus = case.alpha * (reward(completion) - reward(completions[i - 1])) if i else 0.0
        paid = case.rewarded == "all" or i > 0
        earned.append(reward(completion) + bonus if paid else 0.0)
    return earned


def gradient(value: Tensor, model: TinyModel) -> Tensor:
    parts = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


def exact_gradient(case: Case) -> Tensor:
    """∇J as the module states it, by the score function over all traces."""
    policy, reference = TinyModel(1), TinyModel(2)
    oracle = Oracle(policy, reference, case.temperature)
    total = torch.zeros(())
    for prompt in case.prompts:
        for completions in itertools.product(COMPLETIONS, repeat=case.attempts):
            earned = own_rewards(case, completions)
            context, of_trace, term = prompt, 1.0, torch.zeros(())
            for i, completion in enumerate(completions):
                probability, divergence = oracle.attempt(context, completion)
                credit = sum(case.gamma**k * later for k, later in enumerate(earned[i:]))
                coefficient = case.beta1 + (case.beta2 if i == 0 else 0.0)
                term = term + credit * torch.log(probability) - coefficient * divergence
                of_trace *= probability.item()
                context += completion + INSTRUCTION
            total = total + of_trace * term / len(case.prompts)
    return gradient(total, policy)


def direct_gradient(case: Case, joint: bool = False) -> Tensor:
    """∇ Σ_i E_{x_i ~ sg π}[E_{y_i ~ π(·|x_i)} r̃_i − c_i KL_i] through the probabilities themselves.

    No score function; γ = 0. With ``joint``, nothing is frozen: ∇E[Σ_i r̃_i] of all turns at once.
    """
    policy, reference = TinyModel(1), TinyModel(2)
    oracle = Oracle(policy, reference, case.temperature)

    def value(context: Tokens, before: tuple[Tokens, ...]) -> Tensor:
        turn, total = len(before), torch.zeros(())
        if turn == case.attempts:
            return total
        for completion in COMPLETIONS:
            probability, divergence = oracle.attempt(context, completion)
            seen = (*before, completion)
            later = value(context + completion + INSTRUCTION, seen)
            frozen = probability if joint else probability.detach()
            total = total + probability * own_rewards(case, seen)[turn] + frozen * later
            total = total - probability.detach() * case.coefficients[turn] * divergence
        return total

    values = [value(prompt, ()) for prompt in case.prompts]
    return gradient(torch.stack(values).mean(), policy)


# --- the world in which a loss is evaluated ---------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """What a trainer hands to the loss; position t holds the logits that predict token t."""

    logits: Tensor  # [B, T, V]
    reference: Tensor  # [B, T, V]
    tokens: Tensor  # [B, T]
    turns: Tensor  # [B, T]

    def rows(self, index: Sequence[int]) -> "Batch":
        return Batch(*(getattr(self, name)[list(index)] for name in self.__dataclass_fields__))

    def statistics(self, case: Case) -> TokenStatistics:
        return token_statistics(self.logits, self.reference, self.tokens, case.temperature, case.kl)


def write(prompt: Tokens, completions: Sequence[Tokens]) -> tuple[list[int], list[int]]:
    """A trace as one sequence, and the turn of each of its tokens."""
    tokens, turns = list(prompt), [0] * len(prompt)
    for i, completion in enumerate(completions):
        if i:
            tokens += INSTRUCTION
            turns += [0] * len(INSTRUCTION)
        tokens += completion
        turns += [i + 1] * len(completion)
    return tokens, turns


def collate(sequences: Sequence[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
    """Tokens and turns, padded on the right."""
    width = max(len(tokens) for tokens, _ in sequences)
    tokens = torch.tensor([t + [PAD] * (width - len(t)) for t, _ in sequences])
    turns = torch.tensor([t + [0] * (width - len(t)) for _, t in sequences])
    return tokens, turns


class World:
    """Every trace of a case, in one padded batch, with its rewards and its probability."""

    def __init__(self, case: Case) -> None:
        self.case, self.policy, self.reference = case, TinyModel(1), TinyModel(2)
        every = list(itertools.product(COMPLETIONS, repeat=case.attempts))
        self.traces = [(prompt, completions) for prompt in case.prompts for completions in every]
        self.prompts = np.repeat(np.arange(len(case.prompts)), len(every))
        self.rewards = np.array([[reward(y) for y in ys] for _, ys in self.traces])
        self.batch = self.forward(*collate([write(*trace) for trace in self.traces]))
        self.log_probability = self.sums(self.batch)[0].detach().sum(1)
        self.probability = self.log_probability.exp().tolist()

    def forward(self, tokens: Tensor, turns: Tensor) -> Batch:
        logits, reference = self.policy(tokens), self.reference(tokens).detach()
        return Batch(logits[:, :-1], reference[:, :-1], tokens[:, 1:], turns[:, 1:])

    def sums(self, batch: Batch, temperature: float | None = None) -> tuple[Tensor, Tensor]:
        """log π(y_i | x_i) and KL_i, both [B, n], by plain means."""
        temperature = temperature or self.case.temperature
        policy = (batch.logits / temperature).log_softmax(-1)
        reference = (batch.reference / temperature).log_softmax(-1)
        chosen = policy.gather(-1, batch.tokens[..., None])[..., 0]
        divergence = (policy.exp() * (policy - reference)).sum(-1)
        masks = [batch.turns == i + 1 for i in range(self.case.attempts)]
        return (
            torch.stack([(chosen * mask).sum(1) for mask in masks], 1),
            torch.stack([(divergence * mask).sum(1) for mask in masks], 1),
        )

    def credit(self, rows: Sequence[int]) -> np.ndarray:
        case = self.case
        shaped = shaped_rewards(self.rewards[list(rows)], case.alpha, case.rewarded)
        return returns(shaped, case.gamma)

    def advantages(self, rows: Sequence[int]) -> Tensor:
        return torch.tensor(
            advantages(self.credit(rows), self.prompts[list(rows)], self.case.baseline)
        )

    def regularised(self, policy_loss: Tensor, kl: Tensor) -> Tensor:
        return policy_loss + (kl * kl.new_tensor(self.case.coefficients)).sum(1).mean()


Loss = Callable[[World, Sequence[int]], Tensor]


def our_loss(world: World, rows: Sequence[int]) -> Tensor:
    batch = world.batch.rows(rows)
    statistics = batch.statistics(world.case)
    coefficients = world.case.coefficients
    return policy_gradient_loss(statistics, batch.turns, world.advantages(rows), coefficients)[0]


def check(loss: Loss, case: Case) -> None:
    """Assert that E[∇loss] = −∇J, over all batches of one trace (two, where there is a baseline).

    Two traces are two samples of the same prompt; with ``batch_mean``, one of each prompt.
    """
    world = World(case)
    every = range(len(world.traces))
    if case.baseline == "none":
        batches = [(row,) for row in every]
        weight = 1 / len(case.prompts)
    else:
        half = len(every) // len(case.prompts)
        batches = list(itertools.product(every[:half], every[-half:]))
        weight = 1.0
    p = world.probability
    expected = torch.stack(
        [weight * np.prod([p[r] for r in rows]) * loss(world, rows) for rows in batches]
    ).sum()
    torch.testing.assert_close(
        -gradient(expected, world.policy), exact_gradient(case), rtol=1e-8, atol=1e-10
    )


CASES = {
    "Stage I": STAGE_1,
    "Stage II": STAGE_2,
    "Stage I, k3": replace(STAGE_1, kl="k3"),
    "Stage II, k3": replace(STAGE_2, kl="k3", beta2=0.2),
    "Stage I at T = 0.7": replace(STAGE_1, temperature=0.7),
    "Stage II at T = 1.5, k3": replace(STAGE_2, temperature=1.5, kl="k3"),
    "γ = 0.8": replace(STAGE_2, alpha=1.0, gamma=0.8),
    "two prompts": replace(STAGE_2, prompts=PROMPTS),
    "one attempt": Case(attempts=1),
    "three attempts, Stage I": replace(STAGE_1, attempts=3),
    "three attempts, Stage II, γ = 0.8": replace(STAGE_2, attempts=3, gamma=0.8, beta2=0.1),
}
BASELINES = {
    "leave one out, Stage I": replace(STAGE_1, baseline="leave_one_out"),
    "leave one out, Stage II": replace(STAGE_2, baseline="leave_one_out", gamma=0.8),
    "batch mean over two prompts": replace(STAGE_2, baseline="batch_mean", prompts=PROMPTS),
}


@pytest.mark.parametrize("name", [*CASES, *BASELINES])
def test_expected_gradient_is_that_of_the_stated_objective(name):
    check(our_loss, (CASES | BASELINES)[name])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.gamma == 0])
def test_the_stated_objective_agrees_with_plain_differentiation(name):
    """The oracle itself, a second way, so that the score function above is not taken on trust."""
    torch.testing.assert_close(exact_gradient(CASES[name]), direct_gradient(CASES[name]))


def test_full_credit_is_the_gradient_of_the_joint_return():
    """What γ weighs: at γ = 1 the turns are one joint action, at γ = 0 they are not."""
    case = replace(STAGE_2, beta1=0.0)
    joint = direct_gradient(case, joint=True)
    torch.testing.assert_close(exact_gradient(replace(case, gamma=1.0)), joint)
    assert not torch.allclose(exact_gradient(case), joint)


def test_the_enumeration_is_complete():
    assert sum(World(STAGE_1).probability) == pytest.approx(1, abs=1e-12)


# --- errors of other reproductions: the same check must refuse each ---------------------------


def plain_loss(world: World, rows: Sequence[int]) -> Tensor:
    """The right loss from plain sums: what every mutant below departs from."""
    logprob, kl = world.sums(world.batch.rows(rows))
    return world.regularised(-(world.advantages(rows) * logprob).sum(1).mean(), kl)


def kl_scales_the_second_log_prob(world, rows):
    """The anchor as a number in turn 2's reward: turn 1 gets no gradient from it."""
    logprob, kl = world.sums(world.batch.rows(rows))
    penalty = (kl * kl.new_tensor(world.case.coefficients)).sum(1)
    return -((world.advantages(rows)[:, 1] - penalty).detach() * logprob[:, 1]).mean()


def one_joint_reward(world, rows):
    logprob, kl = world.sums(world.batch.rows(rows))
    return world.regularised(-(world.advantages(rows).sum(1) * logprob.sum(1)).mean(), kl)


def no_policy_gradient(world, rows):
    _, kl = world.sums(world.batch.rows(rows))
    return world.regularised(-world.advantages(rows).sum(1).mean(), kl)


def bonus_on_both_attempts(world, rows):
    logprob, kl = world.sums(world.batch.rows(rows))
    rewards = torch.tensor(world.rewards[list(rows)])
    bonus = world.case.alpha * (rewards[:, 1:] - rewards[:, :1])
    return world.regularised(-((rewards + bonus) * logprob).sum(1).mean(), kl)


def beta2_on_every_attempt(world, rows):
    logprob, kl = world.sums(world.batch.rows(rows))
    policy_loss = -(world.advantages(rows) * logprob).sum(1).mean()
    return policy_loss + (world.case.beta1 + world.case.beta2) * kl.sum(1).mean()


def without_beta2(world, rows):
    logprob, kl = world.sums(world.batch.rows(rows))
    policy_loss = -(world.advantages(rows) * logprob).sum(1).mean()
    return policy_loss + world.case.beta1 * kl.sum(1).mean()


def with_turns(world, rows, turns):
    logprob, kl = world.sums(replace(world.batch.rows(rows), turns=turns))
    return world.regularised(-(world.advantages(rows) * logprob).sum(1).mean(), kl)


def padding_as_actions(world, rows):
    turns = world.batch.rows(rows).turns
    ended = (turns == world.case.attempts).int().cummax(1).values.bool()
    return with_turns(world, rows, torch.where(ended, world.case.attempts, turns))


def instruction_as_actions(world, rows):
    turns = world.batch.rows(rows).turns
    between = (turns == 0) & (turns.cummax(1).values == 1)
    return with_turns(world, rows, torch.where(between, 2, turns))


def eos_is_no_action(world, rows):
    batch = world.batch.rows(rows)
    return with_turns(world, rows, torch.where(batch.tokens == EOS, 0, batch.turns))


def log_probs_at_temperature_one(world, rows):
    logprob, kl = world.sums(world.batch.rows(rows), temperature=1.0)
    return world.regularised(-(world.advantages(rows) * logprob).sum(1).mean(), kl)


def mean_over_tokens(world, rows):
    batch = world.batch.rows(rows)
    logprob, kl = world.sums(batch)
    length = torch.stack([(batch.turns == i + 1).sum(1) for i in range(logprob.shape[1])], 1)
    policy_loss = -(world.advantages(rows) * logprob / length).sum(1).mean()
    return world.regularised(policy_loss, kl)


def second_attempt_under_the_original_prompt(world, rows):
    """y2 was sampled after (x, y1, p1); here log π(y2 | x) is trained."""
    logprob, kl = world.sums(world.batch.rows(rows))
    prompts = [world.traces[row] for row in rows]
    alone = world.forward(*collate([write(x, [ys[1]]) for x, ys in prompts]))
    second = world.sums(alone)[0][:, :1]
    logprob = torch.cat([logprob[:, :1], second], 1)
    return world.regularised(-(world.advantages(rows) * logprob).sum(1).mean(), kl)


def left_padding_is_read(world, rows):
    """Left-padded and forwarded without a mask: the model's state starts from the padding."""
    sequences = [write(*world.traces[row]) for row in rows]
    padded = [([PAD, PAD, *tokens], [0, 0, *turns]) for tokens, turns in sequences]
    logprob, kl = world.sums(world.forward(*collate(padded)))
    return world.regularised(-(world.advantages(rows) * logprob).sum(1).mean(), kl)


def bare_k3(world, rows):
    """ρ − 1 − log ρ differentiated as it stands: the gradient of KL(π_ref ‖ π)."""
    batch = world.batch.rows(rows)
    statistics = batch.statistics(world.case)
    reference = (batch.reference / world.case.temperature).log_softmax(-1)
    log_ratio = reference.gather(-1, batch.tokens[..., None])[..., 0] - statistics.logprobs
    bare = replace(statistics, kl=log_ratio.exp() - 1 - log_ratio)
    coefficients = world.case.coefficients
    return policy_gradient_loss(bare, batch.turns, world.advantages(rows), coefficients)[0]


def baseline_with_its_own_trace(world, rows):
    logprob, kl = world.sums(world.batch.rows(rows))
    credit = torch.tensor(world.credit(rows))
    return world.regularised(-((credit - credit.mean(0)) * logprob).sum(1).mean(), kl)


def advantages_over_their_deviation(world, rows):
    logprob, kl = world.sums(world.batch.rows(rows))
    advantage = world.advantages(rows)
    advantage = advantage / (advantage.std(0, correction=0) + 1e-4)
    return world.regularised(-(advantage * logprob).sum(1).mean(), kl)


MUTANTS: list[tuple[Loss, Case]] = [
    (kl_scales_the_second_log_prob, STAGE_1),
    (one_joint_reward, STAGE_2),
    (one_joint_reward, STAGE_1),
    (no_policy_gradient, STAGE_1),
    (no_policy_gradient, STAGE_2),
    (bonus_on_both_attempts, STAGE_2),
    (beta2_on_every_attempt, STAGE_1),
    (without_beta2, STAGE_1),
    (padding_as_actions, STAGE_2),
    (instruction_as_actions, STAGE_2),
    (eos_is_no_action, STAGE_2),
    (log_probs_at_temperature_one, replace(STAGE_2, temperature=0.7)),
    (mean_over_tokens, STAGE_2),
    (second_attempt_under_the_original_prompt, STAGE_2),
    (left_padding_is_read, STAGE_2),
    (bare_k3, STAGE_1),
    (baseline_with_its_own_trace, BASELINES["leave one out, Stage I"]),
    (advantages_over_their_deviation, BASELINES["leave one out, Stage I"]),
]


@pytest.mark.parametrize(("mutant", "case"), MUTANTS)
def test_a_wrong_objective_is_refused(mutant, case):
    with pytest.raises(AssertionError, match="not close"):
        check(mutant, case)


@pytest.mark.parametrize("case", [*dict.fromkeys(case for _, case in MUTANTS)])
def test_what_the_mutants_depart_from_is_accepted(case):
    check(plain_loss, case)


# --- who gets gradient from what --------------------------------------------------------------


def logit_gradient(case: Case, rewards: np.ndarray | None = None, turns: Tensor | None = None):
    """Gradient of the loss of all traces of ``case`` at every logit, and the batch."""
    world = World(case)
    if rewards is not None:
        world.rewards = rewards
    leaf = world.batch.logits.detach().requires_grad_()
    batch = replace(world.batch, logits=leaf)
    turns = batch.turns if turns is None else turns
    loss, _ = policy_gradient_loss(
        batch.statistics(case), turns, world.advantages(range(len(leaf))), case.coefficients
    )
    return torch.autograd.grad(loss, leaf)[0], batch


@pytest.mark.parametrize("kl", ["exact", "k3"])
@pytest.mark.parametrize("baseline", ["none", "leave_one_out", "batch_mean"])
def test_the_second_reward_reaches_the_first_attempt_only_with_gamma(kl, baseline):
    case = replace(STAGE_2, kl=kl, baseline=baseline)
    rewards = World(case).rewards
    flipped = rewards * [1, -1] + [0, 1]
    before, batch = logit_gradient(case, rewards)
    after, _ = logit_gradient(case, flipped)
    assert torch.equal(before[batch.turns == 1], after[batch.turns == 1])
    assert not torch.allclose(before[batch.turns == 2], after[batch.turns == 2])

    discounted = replace(case, gamma=0.8)
    before, after = (logit_gradient(discounted, r)[0] for r in (rewards, flipped))
    assert not torch.allclose(before[batch.turns == 1], after[batch.turns == 1])


def test_stage_one_pulls_the_first_attempt_by_the_anchor_alone():
    rewards = World(STAGE_1).rewards
    before, batch = logit_gradient(STAGE_1, rewards)
    after, _ = logit_gradient(STAGE_1, 1 - rewards)
    assert torch.equal(before[batch.turns == 1], after[batch.turns == 1])
    free, _ = logit_gradient(replace(STAGE_1, beta1=0.0, beta2=0.0), rewards)
    assert not free[batch.turns == 1].any()
    assert free[batch.turns == 2].any()


@pytest.mark.parametrize("kl", ["exact", "k3"])
def test_beta2_alone_moves_the_first_attempt_towards_the_reference(kl):
    case = Case(beta1=0.0, beta2=1.0, kl=kl)
    none = np.zeros((49, 2))
    at_logits, batch = logit_gradient(case, none)
    assert at_logits[batch.turns == 1].any()
    assert not at_logits[batch.turns == 2].any()

    def first_turn_kl(world: World) -> float:
        kl_1 = world.sums(world.batch)[1][:, 0]
        return float(sum(p * k for p, k in zip(world.probability, kl_1.tolist(), strict=True)))

    world = World(case)
    world.rewards = none
    loss = sum(world.probability[row] * our_loss(world, (row,)) for row in range(49))
    assert isinstance(loss, Tensor)
    stepped = World(case)
    with torch.no_grad():
        step = -0.1 * gradient(loss, world.policy)
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(world.policy.parameters()) + step,
            stepped.policy.parameters(),
        )
    stepped.batch = stepped.forward(*collate([write(*trace) for trace in stepped.traces]))
    stepped.probability = stepped.sums(stepped.batch)[0].sum(1).exp().tolist()
    assert first_turn_kl(stepped) < 0.95 * first_turn_kl(world)


@pytest.mark.parametrize("kl", ["exact", "k3"])
def test_only_completion_tokens_get_gradient(kl):
    at_logits, batch = logit_gradient(replace(STAGE_2, kl=kl))
    assert not at_logits[batch.turns == 0].any()
    assert at_logits[batch.turns > 0].any(-1).all()


@pytest.mark.parametrize("kl", ["exact", "k3"])
def test_a_given_first_attempt_gets_no_gradient_and_leaves_the_second_as_it_was(kl):
    """Offline first attempts (§5.3) were not sampled from the policy: their turn is 0."""
    case = replace(STAGE_1, kl=kl)
    sampled, batch = logit_gradient(case)
    given_, _ = logit_gradient(case, turns=torch.where(batch.turns == 1, 0, batch.turns))
    assert not given_[batch.turns != 2].any()
    assert torch.equal(given_[batch.turns == 2], sampled[batch.turns == 2])


def test_every_token_of_an_attempt_weighs_the_same_whatever_its_length():
    world = World(STAGE_2)
    case = replace(STAGE_2, beta1=0.0)
    statistics = world.batch.statistics(case)
    leaf = statistics.logprobs.detach().requires_grad_()
    advantage = world.advantages(range(49))
    loss, _ = policy_gradient_loss(
        replace(statistics, logprobs=leaf), world.batch.turns, advantage, [0.0, 0.0]
    )
    at_tokens = torch.autograd.grad(loss, leaf)[0]
    for row, turns in enumerate(world.batch.turns.tolist()):
        credits = [advantage[row, turn - 1].item() if turn else 0.0 for turn in turns]
        np.testing.assert_allclose(at_tokens[row], -np.array(credits) / 49, atol=1e-15)


# --- layout: padding, holes, order, garbage ---------------------------------------------------


@st.composite
def layouts(draw):
    """A wider canvas: where each position of each row goes, and in which order the rows come."""
    rows = draw(st.lists(st.integers(0, 48), min_size=2, max_size=5, unique=True))
    old = len(PROMPTS[0]) + 2 + len(INSTRUCTION) + 2 - 1
    width = old + draw(st.integers(0, 4))
    # Left padding, right padding, and the holes that a turn which stopped early leaves.
    places = [sorted(draw(st.permutations(range(width)))[:old]) for _ in rows]
    return rows, width, places


GARBAGE = st.sampled_from([-1e30, -1e3, 0.0, 1e3, 1e30])


@settings(max_examples=40)
@given(layouts(), GARBAGE, st.sampled_from(["exact", "k3"]), st.booleans())
def test_layout_and_garbage_change_nothing(layout, garbage, kl, off_policy):
    rows, width, places = layout
    world, case = World(STAGE_2), replace(STAGE_2, kl=kl)
    compact = world.batch.rows(rows)
    compact = replace(compact, logits=compact.logits.detach().requires_grad_())
    advantage = world.advantages(rows)
    drift = 0.1 * torch.sin(torch.arange(compact.tokens.numel())).reshape(compact.tokens.shape)

    index = torch.tensor(places)  # [B, T]
    wide = torch.zeros(len(rows), width, 3, dtype=torch.float64)
    wide[..., A] = garbage
    wide[..., B] = -garbage
    logits = wide.clone()
    logits[torch.arange(len(rows))[:, None], index] = compact.logits.detach()
    logits.requires_grad_()
    reference = -wide
    reference[torch.arange(len(rows))[:, None], index] = compact.reference
    tokens = torch.full((len(rows), width), EOS).scatter(1, index, compact.tokens)
    turns = torch.zeros(len(rows), width, dtype=torch.long).scatter(1, index, compact.turns)
    spread = Batch(logits, reference, tokens, turns)

    results = []
    for batch in (compact, spread):
        statistics = batch.statistics(case)
        behaviour = None
        if off_policy:
            old = compact.statistics(case).logprobs.detach() + drift
            behaviour = torch.where(compact.turns > 0, old, torch.nan)
            if batch is spread:
                canvas = torch.full((len(rows), width), torch.nan, dtype=old.dtype)
                behaviour = canvas.scatter(1, index, behaviour)
        loss, metrics = policy_gradient_loss(
            statistics, batch.turns, advantage, case.coefficients, behaviour
        )
        results.append((loss, metrics, torch.autograd.grad(loss, batch.logits)[0]))

    (loss, metrics, compact_gradient), (wide_loss, wide_metrics, wide_gradient) = results
    torch.testing.assert_close(wide_loss, loss)
    assert wide_metrics == pytest.approx(metrics)
    expected = torch.zeros_like(wide)
    expected[torch.arange(len(rows))[:, None], index] = compact_gradient
    torch.testing.assert_close(wide_gradient, expected, rtol=1e-12, atol=1e-15)
    assert torch.equal(wide_gradient[turns == 0], torch.zeros_like(wide_gradient[turns == 0]))


def test_a_batch_is_the_mean_of_its_traces_in_any_order():
    case = replace(STAGE_2, beta2=0.2)
    world = World(case)
    rows = list(range(0, 49, 3))
    alone = torch.stack([our_loss(world, (row,)) for row in rows]).mean()
    expected = gradient(alone, world.policy)
    for order in (rows, rows[::-1]):
        together = our_loss(world, order)
        torch.testing.assert_close(together, alone)
        torch.testing.assert_close(gradient(together, world.policy), expected)


# --- more than one update on a batch ----------------------------------------------------------


@pytest.mark.parametrize("kl", ["exact", "k3"])
def test_behaviour_equal_to_the_policy_is_on_policy(kl):
    case = replace(STAGE_2, kl=kl)
    world = World(case)
    rows = range(49)
    statistics = world.batch.statistics(case)
    arguments = (statistics, world.batch.turns, world.advantages(rows), case.coefficients)
    on_policy, _ = policy_gradient_loss(*arguments)
    same, _ = policy_gradient_loss(*arguments, behaviour_logprobs=statistics.logprobs.detach())
    torch.testing.assert_close(same, on_policy)
    torch.testing.assert_close(gradient(same, world.policy), gradient(on_policy, world.policy))


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"),
    [
        (1.1, 1.0, 1.1),  # within the range: the importance-weighted gradient
        (0.9, -1.0, 0.9),
        (1.3, 1.0, 0.0),  # has gained enough already
        (0.7, -1.0, 0.0),  # has lost enough already
        (0.7, 1.0, 0.7),  # moved the wrong way: never clipped
        (1.3, -1.0, 1.3),
    ],
)
def test_clipping_as_in_ppo(ratio, advantage, slope):
    logprobs = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(1, 1, dtype=torch.float64)
    loss, _ = policy_gradient_loss(
        TokenStatistics(logprobs, zeros, zeros),
        turns=torch.ones(1, 1, dtype=torch.long),
        advantages=torch.tensor([[advantage]], dtype=torch.float64),
        kl_coefficients=[0.0],
        behaviour_logprobs=logprobs.detach() - np.log(ratio),
        clip_ratio=0.2,
    )
    loss.backward()
    assert logprobs.grad is not None
    assert logprobs.grad.item() == pytest.approx(-advantage * slope)


# --- single quantities ------------------------------------------------------------------------


def one_position(kl: str, temperature: float = 1.0) -> tuple[Tensor, TokenStatistics, Tensor]:
    """Statistics of each vocabulary entry as the sampled token, and the policy that samples it."""
    leaf = torch.tensor([0.3, -1.2, 0.9], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-0.5, 0.4, 1.1], dtype=torch.float64)
    statistics = token_statistics(
        leaf.expand(1, 3, 3), reference.expand(1, 3, 3), torch.arange(3)[None], temperature, kl
    )
    return leaf, statistics, (leaf / temperature).softmax(0).detach()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_k3_has_the_value_and_the_gradient_of_the_exact_kl(temperature):
    leaf, exact, probabilities = one_position("exact", temperature)
    other, k3, _ = one_position("k3", temperature)
    expected, estimated = exact.kl[0, 0], (probabilities * k3.kl[0]).sum()
    torch.testing.assert_close(estimated, expected)
    torch.testing.assert_close(
        torch.autograd.grad(estimated, other), torch.autograd.grad(expected, leaf)
    )


def test_bare_k3_has_the_gradient_of_the_reverse_kl():
    leaf, statistics, probabilities = one_position("k3")
    reference = torch.tensor([-0.5, 0.4, 1.1], dtype=torch.float64).log_softmax(0)
    log_ratio = reference - statistics.logprobs[0]
    bare = (probabilities * (log_ratio.exp() - 1 - log_ratio)).sum()
    naive = torch.autograd.grad(bare, leaf)[0]

    leaf, exact, _ = one_position("exact")
    right = torch.autograd.grad(exact.kl[0, 0], leaf)[0]
    policy = leaf.log_softmax(0)
    reverse = torch.autograd.grad((reference.exp() * (reference - policy)).sum(), leaf)[0]
    torch.testing.assert_close(naive, reverse)
    assert not torch.allclose(naive, right, rtol=0.1)


def test_metrics_are_nats_per_attempt_and_per_token():
    case = replace(STAGE_2, beta2=0.5)
    world = World(case)
    oracle = Oracle(world.policy, world.reference, 1.0)
    rows = range(49)
    statistics = world.batch.statistics(case)
    loss, metrics = policy_gradient_loss(
        statistics, world.batch.turns, world.advantages(rows), case.coefficients
    )
    assert set(metrics) == {"loss", "policy_loss", "kl_t1", "kl_t2", "entropy_t1", "entropy_t2"}
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["loss"] == loss.item()

    kls, entropies = [], []
    for prompt, (first, _) in world.traces:
        kls.append(oracle.attempt(prompt, first)[1].item())
        for written in range(len(first)):
            policy, _ = oracle(prompt + first[:written])
            entropies.append(-sum(p * np.log(p) for p in policy.tolist()))
    assert metrics["kl_t1"] == pytest.approx(np.mean(kls))
    assert metrics["entropy_t1"] == pytest.approx(np.mean(entropies))
    penalty = 0.8 * metrics["kl_t1"] + 0.3 * metrics["kl_t2"]
    assert metrics["loss"] == pytest.approx(metrics["policy_loss"] + penalty)


def test_given_attempts_are_traces_without_a_divergence():
    """The KL that is logged is the term of the loss: a mean over all traces."""
    world, rows = World(STAGE_2), range(49)
    statistics, turns = world.batch.statistics(STAGE_2), world.batch.turns
    given_ = turns.clone()
    given_[:20] = torch.where(turns[:20] == 1, 0, turns[:20])
    loss, metrics = policy_gradient_loss(statistics, given_, world.advantages(rows), [0.8, 0.3])
    kl = [statistics.kl[given_ == turn].sum().item() / 49 for turn in (1, 2)]
    assert [metrics["kl_t1"], metrics["kl_t2"]] == pytest.approx(kl)
    penalty = 0.8 * kl[0] + 0.3 * kl[1]
    assert loss.item() == pytest.approx(metrics["policy_loss"] + penalty)


def test_a_turn_without_tokens_is_not_a_division_by_zero():
    world = World(STAGE_2)
    turns = torch.zeros_like(world.batch.turns)
    loss, metrics = policy_gradient_loss(
        world.batch.statistics(STAGE_2), turns, world.advantages(range(49)), [0.1, 0.1]
    )
    assert loss.item() == 0
    assert set(metrics.values()) == {0.0}


def test_a_coefficient_for_each_attempt_is_demanded():
    world = World(STAGE_2)
    statistics = world.batch.statistics(STAGE_2)
    for wrong in ([0.1], [0.1] * 3):
        with pytest.raises(RuntimeError):
            policy_gradient_loss(statistics, world.batch.turns, torch.zeros(49, 2), wrong)


@pytest.mark.parametrize("kl", ["exact", "k3"])
@pytest.mark.parametrize(
    ("given_dtype", "kept"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_precision_is_at_least_single(kl, given_dtype, kept):
    world = World(STAGE_2)
    logits, reference = (
        x.detach().to(given_dtype) for x in (world.batch.logits, world.batch.reference)
    )
    statistics = token_statistics(logits, reference, world.batch.tokens, 1.0, kl)
    assert {statistics.logprobs.dtype, statistics.kl.dtype, statistics.entropy.dtype} == {kept}


def test_the_sampling_gap_is_the_mean_over_sampled_tokens_and_parts_sum_to_it():
    turns = torch.tensor([[1, 1, 0, 2], [1, 0, 2, 0]])
    recorded = torch.full((2, 4), -1.0)
    logprobs = torch.tensor([[-1.0, -1.5, 9.0, -0.5], [-1.0, 9.0, -3.0, 9.0]])
    totals = Totals.of([turns], 2)
    assert sampling_gap(logprobs, recorded, turns, totals) == pytest.approx((0.5 + 0.5 + 2) / 5)
    parts = [sampling_gap(*(each[row : row + 1] for each in (logprobs, recorded, turns)), totals)
             for row in range(2)]  # fmt: skip
    assert sum(parts) == pytest.approx((0.5 + 0.5 + 2) / 5)


def test_reference_logits_may_come_from_inference_mode():
    world = World(STAGE_2)
    with torch.inference_mode():
        reference = world.batch.reference.clone()
    world.batch = replace(world.batch, reference=reference)
    assert gradient(our_loss(world, range(49)), world.policy).isfinite().all()
