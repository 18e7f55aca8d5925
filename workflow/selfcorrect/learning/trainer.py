"""The RL loop: sample, grade, compute advantages, update; with checkpoints to go on from.

One step: draw problems, sample their traces from the present policy, reward every attempt by its
verdict, and take one (or more) gradient steps on the policy-gradient loss. The reference is the
base model, in Stage II too (Eq. 4). Adam starts afresh with every training stage.
"""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from selfcorrect import seeds
from selfcorrect.learning.policy_gradient import Totals, policy_gradient_loss
from selfcorrect.learning.rewards import advantages, balanced_beta2, returns, shaped_rewards
from selfcorrect.learning.scoring import score
from selfcorrect.lm.batch import TraceBatch, collate
from selfcorrect.lm.checkpoint import Workspace
from selfcorrect.lm.models import LanguageModel
from selfcorrect.progress import Progress
from selfcorrect.records import Attempt, Problem, Trace
from selfcorrect.rollout import rollout
from selfcorrect.spec import RL
from selfcorrect.tasks import Task, grade_traces


@dataclass(frozen=True)
class Setting:
    """What a training run is about, apart from its hyperparameters."""

    task: Task
    problems: Sequence[Problem]
    max_new_tokens: int
    seed: int
    offline: Mapping[str, Sequence[Attempt]]  # the base's first attempts, by problem id


class Trainer:
    """Trains ``policy`` in place against a fixed ``reference``."""

    def __init__(
        self, policy: LanguageModel, reference: LanguageModel, rl: RL, setting: Setting
    ) -> None:
        self.policy, self.reference, self.rl, self.setting = policy, reference, rl, setting
        # Evaluation mode: no dropout, so that the policy trained is the policy sampled.
        policy.model.eval()
        reference.model.eval().requires_grad_(False)
        self.optimiser = torch.optim.Adam(
            policy.model.parameters(), lr=rl.learning_rate, fused=True
        )
        # Offline first attempts exist for the problems that were sampled, often not for all.
        self.begun = [problem for problem in setting.problems if problem.id in setting.offline]
        self.step = 0
        self.beta2 = rl.beta2
        self.best_reward = -np.inf
        self.best: dict[str, Any] | None = None
        # Training rewards of as many steps as lie between checkpoints, also at a shorter end.
        self.window = deque[float](maxlen=rl.checkpoint_every)

    def train(self, work: Workspace) -> LanguageModel:
        """Run all steps, from the last checkpoint if there is one; returns the kept policy."""
        if (state := work.load()) is not None:
            self._restore(state)
        progress = Progress("train", self.rl.steps, self.step)
        while self.step < self.rl.steps:
            began = time.perf_counter()
            traces = self.sample()
            numbers = self.update(traces)
            tokens = sum(len(a.tokens) for t in traces for a in t.attempts if not a.given)
            seconds = time.perf_counter() - began
            self.step += 1
            self.window.append(numbers["reward"])
            work.record({"step": self.step, **numbers, "tokens": tokens,
                         "tokens_per_second": round(tokens / seconds, 1)})  # fmt: skip
            progress.advance(**{k: v for k, v in numbers.items() if k.startswith("reward_")})
            if self.step % self.rl.checkpoint_every == 0 or self.step == self.rl.steps:
                self._keep_best()
                work.save(self._state())
        progress.close()
        if self.rl.keep == "best" and self.best is not None:
            self.policy.model.load_state_dict(self.best)
        return self.policy

    def sample(self) -> list[Trace]:
        """This step's traces: fresh ones, and some that go on from offline first attempts."""
        rl, setting = self.rl, self.setting
        offline = round(rl.offline_first_attempts * rl.prompts_per_batch)
        fresh = self._draw(setting.problems, "problems", rl.prompts_per_batch - offline)
        begun = self._draw(self.begun, "begun problems", offline)
        seed = seeds.derive(setting.seed, "rollout", self.step)
        traces = []
        for part, firsts in (
            (fresh, None),
            (begun, [self._offline_attempt(problem) for problem in begun]),
        ):
            if part:
                traces += rollout(
                    self.policy.engine,
                    self.policy.chat,
                    setting.task,
                    part,
                    instruction=setting.task.prompts.correction,
                    turns=rl.turns,
                    samples=rl.samples_per_prompt,
                    max_new_tokens=setting.max_new_tokens,
                    temperature=rl.temperature,
                    seed=seeds.derive(seed, "fresh" if firsts is None else "offline"),
                    first_attempts=firsts,
                )
        return traces

    def update(self, traces: Sequence[Trace]) -> dict[str, Any]:
        """Gradient steps on one batch of traces; returns what to log."""
        rl = self.rl
        grades = grade_traces(self.setting.task, traces)
        rewards = np.array([[grade.reward for grade in of_trace] for of_trace in grades])
        credit = returns(shaped_rewards(rewards, rl.alpha, rl.rewarded), rl.gamma)
        prompt_of = np.repeat(
            np.arange(len(traces) // rl.samples_per_prompt), rl.samples_per_prompt
        )
        advantage = advantages(credit, prompt_of, rl.baseline)
        size = rl.samples_per_prompt * (rl.prompts_per_micro_batch or rl.prompts_per_batch)
        parts = [
            (collate(traces[at : at + size], self.policy.chat.pad, self.policy.model.device),
             advantage[at : at + size])
            for at in range(0, len(traces), size)
        ]  # fmt: skip
        for update in range(rl.updates_per_batch):
            metrics = self._gradient_step(parts, first=update == 0)
        numbers = {**_batch_numbers(traces, rewards, rl), **metrics, "beta2": self.beta2}
        if rl.adaptive_beta2.rate > 0 and rl.beta2 > 0:
            self.beta2 = balanced_beta2(
                self.beta2, rl.beta2, float(np.abs(advantage[:, -1]).mean()), metrics["kl_t1"],
                rl.adaptive_beta2.rate, rl.adaptive_beta2.max_factor,
            )  # fmt: skip
        return numbers

    def _gradient_step(
        self, parts: Sequence[tuple[TraceBatch, np.ndarray]], *, first: bool
    ) -> dict[str, float]:
        """One step on a batch in parts, each with its advantages."""
        rl, model = self.rl, self.policy.model
        coefficients = [rl.beta1 + (self.beta2 if turn == 0 else 0.0) for turn in range(rl.turns)]
        totals = Totals.of([batch.turns for batch, _ in parts], rl.turns)
        metrics: Counter[str] = Counter()
        self.optimiser.zero_grad()
        for batch, advantage in parts:
            statistics = score(model, self.reference.model, batch, rl.temperature, rl.kl)
            of_turn = torch.as_tensor(advantage, dtype=statistics.logprobs.dtype)
            loss, numbers = policy_gradient_loss(
                statistics,
                batch.turns,
                of_turn.to(model.device),
                coefficients,
                # On the first update the policy is the one that sampled: ratio 1 by definition.
                None if first else batch.logprobs,
                rl.clip_ratio,
                totals,
            )
            loss.backward()
            metrics.update(numbers)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), rl.max_grad_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"step {self.step + 1}: the gradient is not finite (loss {metrics['loss']}); "
                "lower rl.learning_rate or rl.max_grad_norm. The last checkpoint is kept."
            )
        self.optimiser.step()
        return {**metrics, "grad_norm": norm.item()}

    def _draw(self, problems: Sequence[Problem], name: str, count: int) -> list[Problem]:
        """The step's share of ``problems``: shuffled epochs, a function of the step alone."""
        drawn = []
        for position in range(self.step * count, (self.step + 1) * count):
            epoch, place = divmod(position, len(problems))
            order = _order(self.setting.seed, name, epoch, len(problems))
            drawn.append(problems[order[place]])
        return drawn

    def _offline_attempt(self, problem: Problem) -> Attempt:
        attempts = self.setting.offline[problem.id]
        rng = seeds.generator(self.setting.seed, "offline", self.step, problem.id)
        return attempts[int(rng.integers(len(attempts)))]

    def _keep_best(self) -> None:
        """At a checkpoint: remember the weights if their window's training reward is highest."""
        if self.rl.keep == "best" and np.mean(self.window) > self.best_reward:
            self.best_reward = float(np.mean(self.window))
            weights = self.policy.model.state_dict()
            self.best = {name: value.clone() for name, value in weights.items()}

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "model": self.policy.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "beta2": self.beta2,
            "best_reward": float(self.best_reward),
            "best": self.best,
            "window": list(self.window),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.beta2 = state["step"], state["beta2"]
        self.policy.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best_reward, self.best = state["best_reward"], state["best"]
        self.window.extend(state["window"])


@lru_cache(maxsize=4)
def _order(seed: int, name: str, epoch: int, size: int) -> np.ndarray:
    """The order of an epoch."""
    return seeds.generator(seed, name, epoch).permutation(size)


def _batch_numbers(traces: Sequence[Trace], rewards: np.ndarray, rl: RL) -> dict[str, Any]:
    """What a batch of traces shows: rewards per turn, copies, truncation."""
    numbers: dict[str, Any] = {}
    for turn in range(rl.turns):
        numbers[f"reward_t{turn + 1}"] = float(rewards[:, turn].mean())
    # The training reward by which `keep: best` chooses: what is paid for, without the bonus.
    paid = rewards[:, -1:] if rl.rewarded == "last" else rewards
    numbers["reward"] = float(paid.sum(1).mean())
    if rl.turns > 1:
        numbers["same"] = float(np.mean([t.attempts[0].text == t.attempts[1].text for t in traces]))
    numbers["truncated"] = float(np.mean([any(a.truncated for a in t.attempts) for t in traces]))
    return numbers
