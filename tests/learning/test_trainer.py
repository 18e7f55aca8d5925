"""The RL loop: an update against one written out plainly, resuming, every setting's effect."""

import copy
import itertools
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import toy_checkpoints
from selfcorrect import seeds
from selfcorrect.learning.outcomes import Outcome, batch_numbers, outcome_of
from selfcorrect.learning.trainer import Setting, Trainer
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.checkpoint import Workspace
from selfcorrect.lm.models import LanguageModel, load
from selfcorrect.records import Trace
from selfcorrect.rollout import rollout
from selfcorrect.spec.training import RL, AdaptiveBeta2, Generation, LoRA
from tiny import (
    Toy,
    grade,
    language_model,
    moved_adapter,
    plain_logits,
    rl,
    same_weights,
    torch_engine,
    weights,
)

TASK = Toy()
PROBLEMS = TASK.problems("train")
LIMIT = 4


def lm(seed: int = 0, double: bool = False) -> LanguageModel:
    made = language_model(seed, scale=4.0)
    if double:
        made.model.double()
    return made


def offline_attempts() -> dict[str, list[Any]]:
    """First attempts of another model, two for each problem."""
    other = lm(seed=7)
    traces = rollout(
        torch_engine(other), other.chat, TASK, PROBLEMS,
        instruction=TASK.prompts.correction, turns=1, samples=2,
        max_new_tokens=LIMIT, temperature=1.0, seeds=range(len(PROBLEMS)),
    )  # fmt: skip
    return {
        problem.id: [t.attempts[0] for t in traces if t.problem.id == problem.id]
        for problem in PROBLEMS
    }


OFFLINE = offline_attempts()


def setting(*, max_new_tokens: int = LIMIT, batch_size: int = 1000, **changes: Any) -> Setting:
    limits = Generation(
        max_new_tokens=max_new_tokens, batch_size=batch_size, engine="torch", cache_mb=1
    )
    usual = {"task": TASK, "problems": PROBLEMS, "generation": limits, "seed": 0}
    return Setting(**{**usual, "offline": OFFLINE, **changes})


def trainer(settings: RL, *, double: bool = False, **changes: Any) -> Trainer:
    """A policy that has already moved away from its reference."""
    return Trainer(lm(0, double), lm(1, double), settings, setting(**changes))


def workspace(folder: Path) -> Workspace:
    folder.mkdir(exist_ok=True)
    return Workspace(folder, {"job": "test"})


def with_adapter() -> LanguageModel:
    """A policy whose adapter has already moved."""
    return moved_adapter(lm(), LoRA(rank=3, alpha=6.0, modules="all-linear"))


def in_bfloat16() -> tuple[LanguageModel, LanguageModel]:
    policy, reference = lm(0), lm(1)
    for each in (policy, reference):
        each.model.to(torch.bfloat16)
    return policy, reference


def trained(folder: Path, settings: RL, **changes: Any) -> dict[str, torch.Tensor]:
    """The weights that a whole run keeps."""
    return weights(trainer(settings, **changes).train(workspace(folder)))


def read_log(work: Workspace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in work.log.read_text().splitlines()]


# --- one update, written out --------------------------------------------------------------------


def plain_credit(rewards: Sequence[float], settings: RL) -> list[float]:
    """What each attempt is credited with, in words of Eqs. 3 and 4."""
    earned = []
    for turn, reward in enumerate(rewards):
        bonus = settings.alpha * (reward - rewards[turn - 1]) if turn else 0.0
        paid = settings.rewarded == "all" or turn > 0
        earned.append(reward + bonus if paid else 0.0)
    return [
        sum(settings.gamma ** (later - turn) * earned[later] for later in range(turn, len(earned)))
        for turn in range(len(earned))
    ]


def plain_advantages(traces: Sequence[Trace], settings: RL) -> list[list[float]]:
    """Leave-one-out over the traces of one draw of a problem."""
    credit = [
        plain_credit(
            [grade(TASK, t.problem, a.text, a.truncated).reward for a in t.attempts], settings
        )
        for t in traces
    ]
    size = settings.samples_per_prompt
    result = []
    for row, own in enumerate(credit):
        group = range(row // size * size, row // size * size + size)
        others = [credit[other] for other in group if other != row]
        result.append([c - sum(o[i] for o in others) / len(others) for i, c in enumerate(own)])
    return result


def plain_loss(
    model: Any, reference: Any, traces: Sequence[Trace], settings: RL, update: int
) -> Any:
    """The loss, trace by trace and attempt by attempt, each conversation read whole and alone."""
    total = 0.0
    for trace, advantage in zip(traces, plain_advantages(traces, settings), strict=True):
        tokens = [t for a in trace.attempts for t in [*a.prompt, *a.tokens]]
        tables = [
            (plain_logits(one, tokens) / settings.temperature).log_softmax(-1)
            for one in (model, reference)
        ]
        end = 0
        for turn, attempt in enumerate(trace.attempts):
            start = end + len(attempt.prompt)
            end = start + len(attempt.tokens)
            if attempt.given:
                continue
            policy, fixed = (table[start - 1 : end - 1] for table in tables)
            chosen = policy[range(end - start), attempt.tokens]
            if update == 0:
                gain = advantage[turn] * chosen
            else:
                ratio = (chosen - torch.tensor(attempt.logprobs)).exp()
                clipped = ratio.clamp(1 - settings.clip_ratio, 1 + settings.clip_ratio)
                gain = torch.minimum(ratio * advantage[turn], clipped * advantage[turn])
            kl = (policy.exp() * (policy - fixed)).sum()
            coefficient = settings.beta1 + (settings.beta2 if turn == 0 else 0.0)
            total = total - gain.sum() + coefficient * kl
    return total / len(traces)


def plain_update(policy: Any, reference: Any, traces: Sequence[Trace], settings: RL) -> None:
    """Adam from scratch, the gradient's norm clipped by hand."""
    parameters = list(policy.parameters())
    optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate, foreach=False)
    for update in range(settings.updates_per_batch):
        optimiser.zero_grad()
        plain_loss(policy, reference, traces, settings, update).backward()
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in parameters))
        for parameter in parameters:
            parameter.grad *= min(1.0, settings.max_grad_norm / norm)
        optimiser.step()


UPDATES = {
    "stage one": {"rewarded": "revisions", "beta2": 0.1},
    "stage one over three turns": {"turns": 3, "rewarded": "revisions", "beta2": 0.1},
    "stage two": {"alpha": 10.0},
    "credit to earlier turns": {"alpha": 1.0, "gamma": 0.8},
    "cooler": {"temperature": 0.7},
    "three turns": {"turns": 3, "alpha": 2.0},
    "single turn": {"turns": 1},
    "offline first attempts": {"offline_first_attempts": 0.5},
    "micro-batches, four updates": {"prompts_per_micro_batch": 2, "updates_per_batch": 4},
    "four updates": {"updates_per_batch": 4, "clip_ratio": 0.05, "learning_rate": 1e-2},
    "unclipped": {"max_grad_norm": 1e9},
    "micro-batches": {"prompts_per_micro_batch": 1, "alpha": 10.0, "beta2": 0.1},
    "uneven micro-batches": {"prompts_per_micro_batch": 3, "updates_per_batch": 3},
}


def far(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference between two sets of weights."""
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("changes", UPDATES.values(), ids=UPDATES)
def test_an_update_equals_the_plain_one(changes):
    ours = trainer(rl(**changes), double=True)
    plainly, before = copy.deepcopy(ours.policy), weights(ours.policy)
    traces = ours.sample()
    ours.update(traces)
    plain_update(plainly.model, ours.reference.model, traces, ours.rl)
    assert far(before, weights(plainly)) > 1e-4, "the update should move the weights"
    assert far(weights(ours.policy), weights(plainly)) < 1e-6


def test_an_adapter_is_trained_against_the_base(tmp_path):
    """As if the base stood beside, and nothing of the base moves."""
    updated = []
    for reference in (None, lm()):
        ours = Trainer(with_adapter(), reference, rl(alpha=10.0, beta2=0.1), setting())
        before = weights(ours.policy)
        numbers = ours.update(ours.sample())
        after = weights(ours.policy)
        moved = {name for name in after if not torch.equal(before[name], after[name])}
        assert moved and all("lora_" in name for name in moved)
        assert numbers["kl_t1"] > 1e-3
        updated.append((after, numbers))
    (one, numbers), (other, same) = updated
    assert far(one, other) < 1e-6
    assert numbers == pytest.approx(same, rel=1e-5)


def test_weights_of_low_precision_learn_at_a_small_rate():
    ours = Trainer(*in_bfloat16(), rl(learning_rate=1e-5), setting())
    before = weights(ours.policy)
    for _ in range(3):
        ours.update(ours.sample())
    assert {p.dtype for p in ours.policy.model.parameters()} == {torch.bfloat16}
    copies = [copy.detach() for copy in ours.optimiser.copies]
    moved = [
        float((copy - old.float()).abs().mean())
        for copy, old in zip(copies, before.values(), strict=False)
    ]
    assert max(moved) > 1e-5


@pytest.mark.parametrize("pad", ["none", "that of EOS"])
def test_a_tokenizer_without_a_padding_token_of_its_own_changes_no_update(pad):
    updated = []
    for own in (True, False):
        policy, reference = lm(0), lm(1)
        if not own:
            tokenizer = policy.chat.tokenizer
            tokenizer.pad_token = None if pad == "none" else tokenizer.eos_token
            policy = LanguageModel(policy.model, Chat(tokenizer))
            assert policy.chat.pad == policy.chat.eos
        ours = Trainer(policy, reference, rl(alpha=10.0, beta2=0.1), setting())
        traces = ours.sample()
        ours.update(traces)
        updated.append((traces, weights(policy)))
    assert updated[0][0] == updated[1][0]
    assert far(updated[0][1], updated[1][1]) < 1e-7


def test_the_order_of_a_batch_changes_nothing():
    settings = rl(alpha=10.0, beta2=0.1)
    one, other = trainer(settings, double=True), trainer(settings, double=True)
    traces, size = one.sample(), settings.samples_per_prompt
    groups = [traces[start : start + size][::-1] for start in range(0, len(traces), size)]
    one.update(traces)
    other.update([trace for group in groups[::-1] for trace in group])
    assert far(weights(one.policy), weights(other.policy)) < 1e-9


def test_a_long_attempt_of_one_trace_pads_the_others_without_effect():
    """The batch's gradient is the mean of its problems' gradients, each batched alone."""
    settings = rl(alpha=10.0, beta2=0.1, max_grad_norm=1e9)
    traces, size = trainer(settings, double=True).sample(), settings.samples_per_prompt

    def gradient(part: Sequence[Trace]) -> torch.Tensor:
        ours = trainer(settings, double=True)
        ours.update(part)
        return torch.cat([p.grad.flatten() for p in ours.policy.model.parameters()])

    groups = [traces[start : start + size] for start in range(0, len(traces), size)]
    widths = {max(len(a.tokens) for t in group for a in t.attempts) for group in groups}
    assert len({len(t.attempts[0].prompt) for t in traces}) > 1 or len(widths) > 1
    apart = sum(gradient(group) for group in groups) / len(groups)
    torch.testing.assert_close(gradient(traces), apart, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("size", [1, 8, 12])
def test_sampling_a_few_at_a_time_changes_no_trace(size):
    """Conversations; a problem has four."""
    settings = rl(offline_first_attempts=0.25)
    whole, parts = (trainer(settings, batch_size=n).sample() for n in (1000, size))
    assert [[a.tokens for a in t.attempts] for t in parts] == [
        [a.tokens for a in t.attempts] for t in whole
    ]


@pytest.mark.parametrize(("engine", "expected"), [("torch", [8, 4]), ("vllm", [12])])
def test_vllm_is_handed_a_whole_share_at_a_time(monkeypatch, engine, expected):
    """It decides by its cache how many conversations go on at a time; parts would hold it up."""
    ours, asked = trainer(rl(prompts_per_batch=3), batch_size=8), []
    generation = ours.setting.generation.model_copy(update={"engine": engine})
    ours.setting = replace(ours.setting, generation=generation)
    begin = ours.engine.open
    monkeypatch.setattr(
        ours.engine, "open", lambda of, copies: asked.append(len(of) * copies) or begin(of, copies)
    )
    ours.sample()
    assert asked == expected


def test_recomputing_activations_changes_no_update():
    updated = []
    for recompute in (False, True):
        ours = trainer(rl(alpha=10.0, beta2=0.1), double=True, recompute=recompute)
        ours.update(ours.sample())
        updated.append(weights(ours.policy))
    assert far(*updated) < 1e-9


def test_micro_batches_log_what_the_whole_batch_would():
    logged = []
    for size in (None, 1, 3):
        ours = trainer(rl(alpha=10.0, beta2=0.1, prompts_per_micro_batch=size), double=True)
        logged.append(ours.update(ours.sample()))
    for numbers in logged[1:]:
        assert numbers == pytest.approx(logged[0], rel=1e-9)


# --- what an update leaves alone, and how it is held back -----------------------------------------


def test_the_reference_is_never_touched(tmp_path):
    ours = trainer(rl(beta1=1.0))
    before = weights(ours.reference)
    ours.train(workspace(tmp_path))
    assert same_weights(before, weights(ours.reference))
    assert all(p.grad is None for p in ours.reference.model.parameters())
    assert not same_weights(before, weights(ours.policy))


def test_no_dropout():
    ours = trainer(rl())
    ours.policy.model.train()
    again = Trainer(ours.policy, ours.reference, ours.rl, ours.setting)
    assert not again.policy.model.training
    assert not again.reference.model.training


def test_every_stage_starts_with_a_fresh_optimiser(tmp_path):
    first = trainer(rl())
    second = Trainer(first.train(workspace(tmp_path / "one")), lm(1), rl(), setting(seed=1))
    assert first.optimiser.state_dict()["adam"]["state"]
    assert not second.optimiser.state_dict()["adam"]["state"]
    assert second.step == 0


def test_the_gradient_norm_is_clipped_and_logged_before_clipping():
    ours = trainer(rl(max_grad_norm=1e-3))
    numbers = ours.update(ours.sample())
    after = torch.stack([p.grad.norm() for p in ours.policy.model.parameters()]).norm()
    assert numbers["grad_norm"] > 1e-2
    torch.testing.assert_close(after, torch.tensor(1e-3), rtol=1e-3, atol=0)


def test_a_gradient_that_is_not_finite_stops_the_run():
    ours = trainer(rl())
    traces = ours.sample()
    with torch.no_grad():
        next(ours.policy.model.parameters()).fill_(float("inf"))
    with pytest.raises(
        FloatingPointError, match=r"step 1: the gradient.*rl.learning_rate.*begins anew"
    ):
        ours.update(traces)


def test_recorded_logprobs_matter_from_the_second_update_on():
    for updates, matters in ((1, False), (2, True)):
        results = []
        for shift in (0.0, 0.5):
            ours = trainer(rl(updates_per_batch=updates))
            traces = ours.sample()
            for attempt in (a for t in traces for a in t.attempts):
                attempt.logprobs = [value - shift for value in attempt.logprobs]
            ours.update(traces)
            results.append(weights(ours.policy))
        assert same_weights(*results) is not matters


# --- what is sampled ----------------------------------------------------------------------------


def drawn(ours: Trainer, steps: int) -> list[str]:
    """The problems of some steps."""
    ids = []
    for ours.step in range(steps):
        ids += [trace.problem.id for trace in ours.sample() if trace.sample == 0]
    return ids


def test_every_epoch_holds_every_problem_once():
    ids = drawn(trainer(rl(prompts_per_batch=4)), 5)
    everyone = {problem.id for problem in PROBLEMS}
    assert len(everyone) == 10
    assert set(ids[:10]) == set(ids[10:]) == everyone
    assert ids[:10] != ids[10:]


def test_a_step_draws_by_its_number_alone():
    one, other = trainer(rl()), trainer(rl())
    one.sample()
    one.step = other.step = 3
    assert one.sample() == other.sample()


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)])
def test_the_share_of_offline_first_attempts(share, expected):
    ours = trainer(rl(offline_first_attempts=share, prompts_per_batch=4))
    traces = ours.sample()
    given = [t for t in traces if t.attempts[0].given]
    assert len(traces) == 4 * ours.rl.samples_per_prompt
    assert len({t.problem.id for t in given}) == expected
    assert len(given) == expected * ours.rl.samples_per_prompt
    for trace in given:
        own = [attempt.tokens for attempt in OFFLINE[trace.problem.id]]
        assert trace.attempts[0].tokens in own
        assert not trace.attempts[1].given
    assert math.isfinite(ours.update(traces)["loss"])


def test_what_is_logged_of_first_attempts_is_of_the_models_own():
    of = [Outcome((0.0, 1.0), False, True, False, 4, given=1), Outcome((1.0, 1.0), True, False,
          False, 8), Outcome((0.0, 0.0), True, False, False, 8)]  # fmt: skip
    rewards = np.array([outcome.rewards for outcome in of])
    numbers = batch_numbers(of, rewards, rl(rewarded="all"))
    assert (numbers["reward_t1"], numbers["reward_t2"]) == (1 / 2, 2 / 3)
    assert numbers["reward"] == pytest.approx(1 / 2 + 2 / 3)
    assert batch_numbers(of, rewards, rl(rewarded="revisions"))["reward"] == pytest.approx(2 / 3)
    none_own = batch_numbers(of[:1], rewards[:1], rl(rewarded="all"))
    assert none_own["reward_t1"] is None and none_own["reward"] == 1
    ours = trainer(rl(offline_first_attempts=0.5, prompts_per_batch=4))
    for trace in ours.sample():
        grades = [grade(TASK, trace.problem, attempt.text) for attempt in trace.attempts]
        assert outcome_of(trace, grades).given == trace.attempts[0].given


def test_offline_first_attempts_vary_over_steps():
    ours, seen = trainer(rl(offline_first_attempts=1.0)), set()
    for ours.step in range(20):
        seen |= {
            tuple(t.attempts[0].tokens) for t in ours.sample() if t.problem.id == PROBLEMS[0].id
        }
    assert seen == {tuple(attempt.tokens) for attempt in OFFLINE[PROBLEMS[0].id]}


def test_offline_first_attempts_may_exist_for_few_problems():
    """The base was sampled on some of the training problems, and the share holds all the same."""
    few = {problem.id: OFFLINE[problem.id] for problem in PROBLEMS[:3]}
    ours = trainer(rl(offline_first_attempts=0.5), offline=few)
    given = [trace for trace in ours.sample() if trace.attempts[0].given]
    assert len(given) == 2 * ours.rl.samples_per_prompt
    assert set(drawn(trainer(rl(offline_first_attempts=1.0), offline=few), 2)) == set(few)


# --- β2, and the weights that are kept ----------------------------------------------------------


def test_adaptive_beta2_moves_within_its_bounds(tmp_path):
    settings = rl(beta2=0.1, steps=8, adaptive_beta2={"rate": 0.5, "max_factor": 2.0})
    work = workspace(tmp_path)
    trainer(settings).train(work)
    values = [line["beta2"] for line in read_log(work)]
    assert values[0] == 0.1
    assert len(set(values)) > 1
    assert all(0.05 - 1e-9 <= value <= 0.2 + 1e-9 for value in values)
    ratios = [abs(math.log(b / a)) for a, b in itertools.pairwise(values)]
    assert max(ratios) <= 0.5 + 1e-9


def test_beta2_stays_where_it_is_not_adaptive(tmp_path):
    work = workspace(tmp_path)
    trainer(rl(beta2=0.1)).train(work)
    assert {line["beta2"] for line in read_log(work)} == {0.1}


class Scripted(Trainer):
    """Rewards by script; the weights tell which step they are of."""

    rewards: tuple[float, ...] = ()

    def sample(self) -> list[Trace]:
        return []

    def update(self, traces: Sequence[Trace]) -> dict[str, Any]:
        with torch.no_grad():
            for parameter in self.policy.model.parameters():
                parameter.fill_(self.step + 1)
        return {"reward": self.rewards[self.step], "tokens": 0}


@pytest.mark.parametrize(
    ("keep", "rewards", "expected"),
    [
        ("best", (0, 0, 0.6, 0.4, 1, -1), 4),
        ("best", (0.5, 0.5, 0.9, 0, 0.1, 0), 2),
        ("best", (0, 0, 0, 0, 0, 1), 6),
        ("best", (-1, -1, -2, -2, -3, -3), 2),
        ("best", (1, 1, 1, 1, 1, 1), 2),
        ("last", (1, 1, 0, 0, 0, 0), 6),
    ],
)
def test_which_weights_are_kept(tmp_path, keep, rewards, expected):
    """`best`: those at the end of the window with the highest mean training reward."""
    ours = Scripted(lm(), lm(1), rl(keep=keep, steps=6, checkpoint_every=2), setting())
    ours.rewards = rewards
    kept = weights(ours.train(workspace(tmp_path)))
    assert {float(value.min()) for value in kept.values()} == {expected}


@pytest.mark.parametrize(
    ("stops", "reward", "expected"), [((), 0.9, 4), ((4,), 0.9, 4), ((4,), 1.1, 5)]
)
def test_a_shorter_last_window_averages_as_many_steps(tmp_path, stops, reward, expected):
    rewards = (0.0, 0.0, 1.0, 0.2, reward)
    settings = rl(keep="best", steps=5, checkpoint_every=2)
    for stop in stops:
        ours = Scripted(lm(), lm(1), settings, setting())
        ours.rewards = rewards[:stop]
        with pytest.raises(IndexError):
            ours.train(workspace(tmp_path))
    ours = Scripted(lm(), lm(1), settings, setting())
    ours.rewards = rewards
    kept = weights(ours.train(workspace(tmp_path)))
    assert {float(value.min()) for value in kept.values()} == {expected}


def test_the_best_weights_survive_a_stop(tmp_path):
    ours = [Scripted(lm(), lm(1), rl(steps=6, checkpoint_every=2), setting()) for _ in range(2)]
    ours[0].rewards = (0.5, 0.5, 0.1)  # and then nothing: it stops there
    ours[1].rewards = (9.0, 9.0, 0.1, 0.3, 0.4, 0.4)
    with pytest.raises(IndexError):
        ours[0].train(workspace(tmp_path))
    kept = weights(ours[1].train(workspace(tmp_path)))
    assert {float(value.min()) for value in kept.values()} == {2}


@pytest.mark.parametrize(("rewarded", "columns"), [("revisions", [1]), ("all", [0, 1])])
def test_the_training_reward_is_what_is_paid_for_without_the_bonus(rewarded, columns):
    ours = trainer(rl(rewarded=rewarded, alpha=10.0))
    traces = ours.sample()
    grades = np.array([[grade(TASK, t.problem, a.text).reward for a in t.attempts] for t in traces])
    numbers = ours.update(traces)
    assert numbers["reward"] == pytest.approx(grades[:, columns].sum(1).mean())
    assert [numbers["reward_t1"], numbers["reward_t2"]] == pytest.approx(grades.mean(0).tolist())


# --- the log ------------------------------------------------------------------------------------

ALWAYS = {"step", "reward", "truncated", "grad_norm", "tokens", "tokens_per_second", "loss"}


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_line_a_step_with_every_turn(tmp_path, turns):
    work = workspace(tmp_path)
    trainer(rl(turns=turns)).train(work)
    lines = read_log(work)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    per_turn = ("reward", "kl", "entropy")
    for line in lines:
        there = {f"{what}_t{turn + 1}" for what in per_turn for turn in range(turns)}
        assert line.keys() >= ALWAYS | there
        assert not {f"{what}_t{turns + 1}" for what in per_turn} & line.keys()
        assert ("same" in line) == (turns > 1)
        assert all(math.isfinite(value) for value in line.values())
        assert line["tokens_per_second"] > 0


@pytest.mark.parametrize("settings", [rl(), rl(updates_per_batch=3, prompts_per_micro_batch=2)])
def test_the_log_tells_when_the_engine_samples_from_another_policy(settings):
    ours = trainer(settings)
    assert 0 < ours.update(ours.sample())["sampling_gap"] < 1e-5
    assert ours.update(ours.sample())["sampling_gap"] < 1e-5
    ours.engine.model = lm(seed=9).model
    assert ours.update(ours.sample())["sampling_gap"] > 0.1


def test_what_the_log_says_of_a_batch():
    ours = trainer(rl(offline_first_attempts=0.5))
    traces = ours.sample()
    numbers = ours.update(traces)
    same = [t.attempts[0].text == t.attempts[1].text for t in traces]
    answers = [[grade(TASK, t.problem, a.text).answer for a in t.attempts] for t in traces]
    changed = [
        not alike and (first is None or first != second)
        for alike, (first, second) in zip(same, answers, strict=True)
    ]
    assert 0 < sum(changed) < len(traces)
    assert numbers["changed"] == np.mean(changed)
    truncated = [t.attempts[0].truncated or t.attempts[1].truncated for t in traces]
    assert numbers["same"] == np.mean(same)
    assert numbers["truncated"] == np.mean(truncated)


def test_tokens_are_those_that_were_sampled(tmp_path):
    work = workspace(tmp_path)
    ours = trainer(rl(steps=1, offline_first_attempts=0.5))
    expected = sum(len(a.tokens) for t in ours.sample() for a in t.attempts if not a.given)
    ours.train(work)
    assert read_log(work)[0]["tokens"] == expected


# --- stopping and going on ----------------------------------------------------------------------

EVERYTHING = rl(
    steps=6, checkpoint_every=2, keep="best", beta2=0.1, offline_first_attempts=0.25,
    updates_per_batch=2, adaptive_beta2={"rate": 0.5, "max_factor": 10.0},
)  # fmt: skip
TIMES = {"tokens_per_second"}


def without_times(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


def test_a_run_stopped_at_any_step_ends_in_the_same_bits(tmp_path):
    whole = workspace(tmp_path / "whole")
    expected = weights(trainer(EVERYTHING).train(whole))
    for stop in range(EVERYTHING.steps):
        work = workspace(tmp_path / f"stopped{stop}")
        halted = trainer(EVERYTHING)
        record, left = work.record, iter(range(stop))

        def stopping(numbers, record=record, left=left):
            record(numbers)  # logged, but the checkpoint does not know of it
            if next(left, None) is None:
                raise KeyboardInterrupt

        work.record = stopping
        with pytest.raises(KeyboardInterrupt):
            halted.train(work)
        again = workspace(tmp_path / f"stopped{stop}")
        torch.manual_seed(stop)
        assert same_weights(expected, weights(trainer(EVERYTHING).train(again)))
        assert without_times(read_log(again)) == without_times(read_log(whole))


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_with_compiled_steps_too(tmp_path):
    """The same training up to rounding, and the same bits after a stop in another process."""
    limits = Generation(max_new_tokens=LIMIT, batch_size=1000, engine="compiled", cache_mb=1)
    settings = rl(steps=3)
    sampled = trained(tmp_path / "torch", settings)
    whole = trained(tmp_path / "whole", settings, generation=limits)
    for name, weight in whole.items():
        torch.testing.assert_close(weight, sampled[name], rtol=0, atol=1e-5)
    trained(tmp_path / "part", settings.model_copy(update={"steps": 2}), generation=limits)
    torch._dynamo.reset()
    assert same_weights(whole, trained(tmp_path / "part", settings, generation=limits))


@pytest.mark.parametrize("kind", ["an adapter", "bfloat16"])
def test_other_weights_go_on_in_the_same_bits_too(tmp_path, kind):
    def made() -> Trainer:
        pair = (with_adapter(), None) if kind == "an adapter" else in_bfloat16()
        return Trainer(*pair, EVERYTHING, setting())

    expected = weights(made().train(workspace(tmp_path / "whole")))
    halted, work = made(), workspace(tmp_path / "halted")
    save = work.save

    def stopping(state: dict[str, Any]) -> None:
        save(state)
        raise KeyboardInterrupt

    work.save = stopping
    with pytest.raises(KeyboardInterrupt):
        halted.train(work)
    assert same_weights(expected, weights(made().train(workspace(tmp_path / "halted"))))


def test_a_finished_run_that_was_not_saved_is_not_run_again(tmp_path, monkeypatch):
    expected = trained(tmp_path, EVERYTHING)
    again = trainer(EVERYTHING)
    monkeypatch.setattr(again, "sample", lambda: pytest.fail("sampled again"))
    assert same_weights(expected, weights(again.train(workspace(tmp_path))))


# --- learning -----------------------------------------------------------------------------------


def learn(folder: Path, **changes: Any) -> list[dict[str, Any]]:
    settings = rl(steps=40, learning_rate=1e-2, prompts_per_batch=8, checkpoint_every=40, **changes)
    work = workspace(folder)
    start = language_model(scale=1.0)
    Trainer(start, copy.deepcopy(start), settings, setting(max_new_tokens=3)).train(work)
    return read_log(work)


def mean(lines: Sequence[dict[str, Any]], key: str) -> float:
    return float(np.mean([line[key] for line in lines]))


def test_a_policy_learns_a_bandit(tmp_path):
    lines = learn(tmp_path)
    for turn in ("reward_t1", "reward_t2"):
        assert mean(lines[:5], turn) < 0.4
        assert mean(lines[-5:], turn) > 0.9


def test_beta2_holds_the_first_attempt_while_the_second_learns(tmp_path):
    free = learn(tmp_path / "free", rewarded="revisions")
    held = learn(tmp_path / "held", rewarded="revisions", beta2=2.0)
    assert mean(held[-5:], "reward_t2") > 0.8
    assert mean(held[-5:], "kl_t1") < 0.2 * mean(free[-5:], "kl_t1")


# --- no setting without effect ------------------------------------------------------------------

ADAPTIVE = {"rate": 0.5, "max_factor": 10.0}
# Key: (what it takes for the key to matter, the changed value).
EFFECTS: dict[str, tuple[dict[str, Any], Any]] = {
    "learning_rate": ({}, 2e-3),
    "steps": ({}, 5),
    "prompts_per_batch": ({}, 5),
    "samples_per_prompt": ({}, 3),
    "updates_per_batch": ({}, 2),
    "clip_ratio": ({"updates_per_batch": 3, "learning_rate": 1e-2}, 0.01),
    "temperature": ({}, 0.7),
    "turns": ({}, 3),
    "rewarded": ({}, "revisions"),
    "alpha": ({}, 2.0),
    "beta1": ({}, 0.5),
    "beta2": ({}, 0.5),
    "anneal_beta2": ({"beta2": 0.5}, 0.5),
    "gamma": ({}, 0.5),
    "kl": ({}, "k3"),
    "baseline": ({}, "batch_mean"),
    "baseline: none": ({}, "none"),
    "offline_first_attempts": ({}, 0.5),
    "adaptive_beta2.rate": ({"beta2": 0.1, "adaptive_beta2": ADAPTIVE}, {**ADAPTIVE, "rate": 0.0}),
    "adaptive_beta2.max_factor": (
        {"beta2": 0.1, "adaptive_beta2": ADAPTIVE},
        {**ADAPTIVE, "max_factor": 1.0},
    ),
    "max_grad_norm": ({}, 1e-3),
    # Steps enough that the best one is not the last.
    "keep": ({"steps": 8, "checkpoint_every": 1, "keep": "best"}, "last"),
    "checkpoint_every": ({"steps": 8, "checkpoint_every": 1, "keep": "best"}, 4),
}


def test_every_setting_is_tried():
    tried = {name.partition(":")[0].partition(".")[0] for name in EFFECTS}
    # Micro-batches are tested to have none.
    assert tried | {"prompts_per_micro_batch"} == set(RL.model_fields)
    nested = {name.partition(".")[2] for name in EFFECTS if name.startswith("adaptive_beta2.")}
    assert nested == set(AdaptiveBeta2.model_fields)


@pytest.mark.parametrize("name", EFFECTS)
def test_every_setting_has_an_effect(tmp_path, name):
    given, value = EFFECTS[name]
    key = name.partition(":")[0].partition(".")[0]
    base = {"keep": "last", **given}
    assert not same_weights(
        trained(tmp_path / "one", rl(**base)),
        trained(tmp_path / "other", rl(**{**base, key: value})),
    )


def test_nothing_else_has_an_effect(tmp_path):
    """Without this, the test above would pass on noise."""
    base = trained(tmp_path / "one", rl(keep="last"))
    assert same_weights(base, trained(tmp_path / "two", rl(keep="last")))
    assert same_weights(base, trained(tmp_path / "three", rl(keep="last", checkpoint_every=3)))
    assert same_weights(base, trained(tmp_path / "four", rl(keep="last", clip_ratio=0.01)))


@pytest.mark.parametrize("changes", [{"seed": seeds.derive(0, "other")}, {"max_new_tokens": 3}])
def test_the_seed_and_the_token_limit_have_an_effect(tmp_path, changes):
    settings = rl(keep="last")
    base = trained(tmp_path / "one", settings)
    assert not same_weights(base, trained(tmp_path / "other", settings, **changes))


# --- real architectures -------------------------------------------------------------------------


@pytest.mark.parametrize("family", toy_checkpoints.ARCHITECTURES)
def test_a_checkpoint_of_a_known_family_is_sampled_and_trained(tmp_path, family):
    """Through its own chat template, with what was sampled said alike in training."""
    toy_checkpoints.save(tmp_path, toy_checkpoints.solution, family, steps=0)
    policy, reference = load(tmp_path), load(tmp_path)
    before = weights(policy)
    ours = Trainer(policy, reference, rl(beta2=0.1, learning_rate=1e-3), setting())
    traces = ours.sample()
    for trace in traces:
        first, second = trace.attempts
        bridge = list(policy.chat.bridge(TASK.prompts.correction))
        assert list(second.prompt) == (bridge if first.truncated else bridge[1:])
    for attempt in (a for trace in traces for a in trace.attempts):
        attempt.text = "1"  # an untaught model is never right, and equal rewards teach nothing
    traces[0].attempts[0].text = "9"
    numbers = ours.update(traces)
    assert numbers["sampling_gap"] < 1e-5
    assert numbers["kl_t1"] == pytest.approx(0, abs=1e-5)
    assert not same_weights(before, weights(policy))
