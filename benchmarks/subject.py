"""What is benchmarked: the default config's task, model and RL batch, with random weights.

Weights do not matter to speed, lengths do. A random model ends an attempt after a geometric number
of tokens; with ``full_length`` its EOS is muted, so that every attempt has all of its tokens.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from selfcorrect import config
from selfcorrect.learning.trainer import Setting, Trainer
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.models import LanguageModel, tiny_model
from selfcorrect.lm.tokenizer import word_level_tokenizer
from selfcorrect.plan import Plan
from selfcorrect.records import Problem, Trace
from selfcorrect.spec import RL, Generation, TinyModel
from selfcorrect.tasks import Testbed, make_testbed

CONFIG = Path(__file__).parents[1] / "config/config.yaml"
TASK, METHOD = "carry", "score"  # Stage II: both turns rewarded, with the bonus
SHAPES: dict[str, dict[str, int]] = {
    "config": {},
    "larger": {"hidden_size": 128, "intermediate_size": 256, "layers": 4},
}


@dataclass(frozen=True)
class Subject:
    """A model's shape and the RL job that it is put to."""

    name: str
    tiny: TinyModel
    rl: RL
    generation: Generation
    task: Testbed
    problems: Sequence[Problem]

    @property
    def rows(self) -> int:
        """Traces in a batch."""
        return self.rl.prompts_per_batch * self.rl.samples_per_prompt

    def language_model(self, *, full_length: bool) -> LanguageModel:
        """Random weights, always the same."""
        texts = self.task.prompts
        pieces = [texts.opening(""), *self.task.alphabet(), *texts.instructions.values()]
        chat = Chat(word_level_tokenizer(pieces))
        lm = LanguageModel(tiny_model(self.tiny, chat.tokenizer, seed=0).eval(), chat)
        if full_length:
            mute_eos(lm)
        return lm

    def trainer(self) -> Trainer:
        """Our RL on attempts of full length."""
        setting = Setting(self.task, self.problems, self.generation, seed=0, offline={})
        policy, reference = (self.language_model(full_length=True) for _ in range(2))
        return Trainer(policy, reference, self.rl, setting)


def mute_eos(lm: LanguageModel) -> None:
    """Push the EOS logit down, finitely: probability 0, and KL terms stay numbers."""
    penalty = torch.zeros(lm.model.config.vocab_size)
    penalty[lm.chat.eos] = -1e4
    lm.model.lm_head.register_forward_hook(lambda _module, _inputs, logits: logits + penalty)


def step(trainer: Trainer) -> list[Trace]:
    """One RL step: rollout, rewards, reference, loss, backward, clip, Adam. Returns its traces."""
    traces = trainer.sample()
    trainer.update(traces)
    trainer.step += 1
    return traces


def tokens(traces: Sequence[Trace]) -> tuple[int, int]:
    """Tokens of conversations in all, and those of them that were sampled."""
    attempts = [attempt for trace in traces for attempt in trace.attempts]
    sampled = sum(len(attempt.tokens) for attempt in attempts)
    return sampled + sum(len(attempt.prompt) for attempt in attempts), sampled


def parser(description: str | None) -> argparse.ArgumentParser:
    """A command line with the batch's size: the config's unless it says otherwise."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--prompts", type=int, help="problems per batch (default: the config's)")
    made.add_argument("--samples", type=int, help="traces per problem (default: the config's)")
    return made


def subject(arguments: argparse.Namespace, name: str = "config", **shape: Any) -> Subject:
    """The config's RL job at the model shape ``name``, with further changes to the shape."""
    settings = config.load(yaml.safe_load(CONFIG.read_text()))
    job = Plan(settings).reinforce(TASK, METHOD, seed=0)
    batch = {"prompts_per_batch": arguments.prompts, "samples_per_prompt": arguments.samples}
    task = make_testbed(settings.tasks[TASK].data, settings.tasks[TASK].corpus)
    tiny = settings.tasks[TASK].model.tiny
    return Subject(
        name=name,
        tiny=tiny.model_copy(update={**SHAPES[name], **shape}),
        rl=job.rl.model_copy(update={key: n for key, n in batch.items() if n is not None}),
        generation=job.generation,
        task=task,
        problems=task.problems("train"),
    )
