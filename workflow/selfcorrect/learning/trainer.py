"""The RL loop: sample, grade, compute advantages, update; with checkpoints to go on from.

One step: draw problems, sample their traces from the present policy, reward every attempt by its
verdict, and take one (or more) gradient steps on the policy-gradient loss. The reference is the
base model, in Stage II too (Eq. 4). Adam starts afresh with every training stage.
"""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfcorrect import seeds
from selfcorrect.learning.optimiser import Optimiser
from selfcorrect.learning.outcomes import batch_numbers, outcome_of
from selfcorrect.learning.policy import Policy, Replicated, Sharded
from selfcorrect.learning.policy_gradient import Totals, policy_gradient_loss, sampling_gap
from selfcorrect.learning.rewards import (
    advantages,
    annealed,
    balanced_beta2,
    returns,
    shaped_rewards,
)
from selfcorrect.lm.batch import TraceBatch, collate
from selfcorrect.lm.checkpoint import Workspace
from selfcorrect.lm.engines import make_engine
from selfcorrect.lm.models import LanguageModel
from selfcorrect.lm.reference import Reference
from selfcorrect.lm.team import Team
from selfcorrect.progress import Progress
from selfcorrect.records import Attempt, Problem, Trace
from selfcorrect.rollout import rollout
from selfcorrect.spec import RL, Generation
from selfcorrect.spec.kinds import Instruction
from selfcorrect.tasks import Task, grade_traces


@dataclass(frozen=True)
class Setting:
    """What a training run is about, apart from its hyperparameters."""

    task: Task
    problems: Sequence[Problem]
    generation: Generation
    seed: int
    offline: Mapping[str, Sequence[Attempt]]  # the base's first attempts, by problem id
    instruction: Instruction = "correction"  # what the policy is told after an attempt
    recompute: bool = False  # activations, on the way back
    sharded: bool = False  # what is trained lies in parts on the processes of a team


@dataclass
class Part:
    """Traces that are trained on at a time."""

    batch: TraceBatch
    advantages: np.ndarray  # [B, n]
    reference_states: Tensor | None = field(default=None, repr=False)  # kept for further updates


class Trainer:
    """Trains ``policy`` in place against a fixed reference."""

    def __init__(
        self,
        policy: LanguageModel,
        reference: LanguageModel | None,
        rl: RL,
        setting: Setting,
        team: Team | None = None,
    ) -> None:
        """Set up a run.

        Args:
            policy: what is trained; of a model with an adapter, the adapter alone.
            reference: None for the policy with its adapter off.
            rl: hyperparameters.
            setting: what the run is about.
            team: of processes that share its batches.
        """
        self.policy, self.rl, self.setting, self.team = policy, rl, setting, team or Team()
        # Evaluation mode: no dropout, so that the policy trained is the policy sampled.
        policy.model.eval()
        self.engine = make_engine(policy, setting.generation)
        sharded = setting.sharded and self.team.size > 1
        own = None if reference is None else reference.model
        self.reference = Reference(own, policy.model, sharded=sharded)
        self.trained: Policy = (
            Sharded(policy.model) if sharded else Replicated(policy.model, self.team)
        )
        self.optimiser = Optimiser(self.trained.parameters(), rl.learning_rate)
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
        self._restore(work.load())
        progress = Progress("train", self.rl.steps, self.step) if self.team.main else None
        while self.step < self.rl.steps:
            began = time.perf_counter()
            numbers = self.update(self.sample())
            rate = round(numbers["tokens"] / (time.perf_counter() - began), 1)
            self.step += 1
            self.window.append(numbers["reward"])
            if progress is not None:
                work.record({"step": self.step, **numbers, "tokens_per_second": rate})
                progress.advance(**{k: v for k, v in numbers.items()
                                    if k.startswith("reward_") and v is not None})  # fmt: skip
            if self.step % self.rl.checkpoint_every == 0 or self.step == self.rl.steps:
                self._keep_best()
                state = self._state()
                if self.team.main:
                    work.save(state)
        if progress is not None:
            progress.close()
        if self.rl.keep == "best" and self.best is not None:
            self._load(self.best)
        return self.policy

    def sample(self) -> list[Trace]:
        """This step's traces (of a team: this process's share of them).

        Fresh ones, and then some that go on from offline first attempts.
        """
        rl = self.rl
        anew, offline = rl.fresh_and_offline
        fresh = self._draw(self.setting.problems, "problems", anew)
        begun = self._draw(self.begun, "begun problems", offline)
        firsts = [self._offline_attempt(problem) for problem in begun]
        return [*self._rollouts(fresh, "fresh"), *self._rollouts(begun, "offline", firsts)]

    def _rollouts(
        self, problems: Sequence[Problem], kind: str, firsts: Sequence[Attempt] | None = None
    ) -> list[Trace]:
        """Traces of the problems that fall to this process, as many at a time as there may be."""
        rl, setting = self.rl, self.setting
        seed = seeds.derive(setting.seed, "rollout", self.step, kind)
        places = self.team.share(len(problems), "rl.prompts_per_batch")
        size = max(1, setting.generation.batch_size // rl.samples_per_prompt)
        if setting.generation.engine == "vllm":  # takes as many at a time as its cache holds
            size = max(1, len(places))
        traces: list[Trace] = []
        for start in range(0, len(places), size):
            part = places[start : start + size]
            traces += rollout(
                self.engine,
                self.policy.chat,
                setting.task,
                [problems[place] for place in part],
                instruction=setting.task.prompts.instruction(setting.instruction),
                turns=rl.turns,
                samples=rl.samples_per_prompt,
                max_new_tokens=setting.generation.max_new_tokens,
                temperature=rl.temperature,
                seeds=[seeds.derive(seed, place) for place in part],
                first_attempts=None if firsts is None else [firsts[place] for place in part],
            )
        return traces

    def update(self, traces: Sequence[Trace]) -> dict[str, Any]:
        """Gradient steps on one batch of traces; returns what to log of the whole team's."""
        rl = self.rl
        grades = grade_traces(self.setting.task, traces)
        outcomes = self.team.gather(
            [outcome_of(trace, of_trace) for trace, of_trace in zip(traces, grades, strict=True)]
        )
        rewards = np.array([outcome.rewards for outcome in outcomes])
        credit = returns(shaped_rewards(rewards, rl.alpha, rl.rewarded), rl.gamma)
        prompt_of = np.repeat(
            np.arange(len(outcomes) // rl.samples_per_prompt), rl.samples_per_prompt
        )
        advantage = advantages(credit, prompt_of, rl.baseline)
        own = advantage[self.team.share(len(outcomes), "rl.prompts_per_batch")]
        size = rl.samples_per_prompt * (rl.prompts_per_micro_batch or rl.prompts_per_batch)
        pad, device = self.policy.chat.pad, self.policy.model.device
        parts = [
            Part(collate(traces[at : at + size], pad, device), own[at : at + size])
            for at in range(0, len(traces), size)
        ]
        metrics: dict[str, float] = {}
        for update in range(rl.updates_per_batch):
            metrics |= self._gradient_step(parts, first=update == 0)
        self.engine.refresh()
        numbers = {**batch_numbers(outcomes, rewards, rl), **metrics}
        if rl.adaptive_beta2.rate > 0 and rl.beta2 > 0:
            self.beta2 = balanced_beta2(
                self.beta2, rl.beta2, float(np.abs(advantage[:, -1]).mean()), metrics["kl_t1"],
                rl.adaptive_beta2.rate, rl.adaptive_beta2.max_factor,
            )  # fmt: skip
        return numbers

    def _gradient_step(self, parts: Sequence[Part], *, first: bool) -> dict[str, float]:
        """One step on a batch in parts."""
        rl = self.rl
        anchor = annealed(self.beta2, rl.anneal_beta2 * rl.steps, self.step)
        coefficients = [rl.beta1 + (anchor if turn == 0 else 0.0) for turn in range(rl.turns)]
        totals = self._totals(parts)
        metrics: Counter[str] = Counter()
        self.optimiser.zero_grad()
        for part in parts:
            if rl.updates_per_batch > 1 and part.reference_states is None:
                part.reference_states = self.reference.states(part.batch)
            statistics = self.trained.score(
                part.batch,
                self.reference,
                temperature=rl.temperature,
                kl=rl.kl,
                reference_states=part.reference_states,
                recompute=self.setting.recompute,
            )
            of_turn = torch.as_tensor(part.advantages, dtype=statistics.logprobs.dtype)
            loss, numbers = policy_gradient_loss(
                statistics,
                part.batch.turns,
                of_turn.to(part.batch.tokens.device),
                coefficients,
                # On the first update the policy is the one that sampled: ratio 1 by definition.
                None if first else part.batch.logprobs,
                rl.clip_ratio,
                totals,
            )
            loss.backward()
            self.optimiser.accumulate()
            if first:
                recorded = part.batch.logprobs
                numbers["sampling_gap"] = sampling_gap(
                    statistics.logprobs, recorded, part.batch.turns, totals
                )
            metrics.update(numbers)
        self.trained.reduce(self.optimiser.gradients())
        metrics = self._summed(metrics)
        norm = self.optimiser.step(rl.max_grad_norm)
        self.trained.publish()
        if not np.isfinite(norm):
            raise FloatingPointError(
                f"step {self.step + 1}: the gradient is not finite (loss {metrics['loss']}); "
                "lower rl.learning_rate or rl.max_grad_norm, for this method alone under "
                "methods.<name>.rl; with another value the job begins anew"
            )
        return {**metrics, "grad_norm": norm, "beta2": anchor}

    def _totals(self, parts: Sequence[Part]) -> Totals:
        """The denominators of the whole team's batch."""
        own = Totals.of([part.batch.turns for part in parts], self.rl.turns)
        sums = torch.cat([own.tokens, own.tokens.new_tensor([own.traces])])
        self.team.add([sums])
        return Totals(int(sums[-1]), sums[:-1])

    def _summed(self, metrics: Counter[str]) -> Counter[str]:
        """The metrics of all processes' parts together."""
        values = torch.tensor(list(metrics.values()), dtype=torch.float64)
        values = values.to(self.team.device)
        self.team.add([values])
        return Counter(dict(zip(metrics, values.tolist(), strict=True)))

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
            weights = self.trained.weights()
            self.best = {name: value.to("cpu", copy=True) for name, value in weights.items()}

    def _load(self, weights: Mapping[str, Tensor]) -> None:
        self.trained.load(weights)
        self.engine.refresh()

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "optimiser": self.optimiser.state_dict(),
            "beta2": self.beta2,
            "best_reward": float(self.best_reward),
            "best": self.best,
            "window": list(self.window),
        }

    def _restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from a checkpoint, which nobody may hold on to: it is as large as all of this."""
        if state is None:
            return
        self.step, self.beta2 = state["step"], state["beta2"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.trained.publish()
        self.engine.refresh()
        self.best_reward, self.best = state["best_reward"], state["best"]
        self.window.extend(state["window"])


@lru_cache(maxsize=4)
def _order(seed: int, name: str, epoch: int, size: int) -> np.ndarray:
    """The order of an epoch."""
    return seeds.generator(seed, name, epoch).permutation(size)
