"""One RL step of ours against one of TRL's GRPOTrainer, side by side in one process.

    python benchmarks/rl_step.py

Both: the same model and reference, sequences, tokens read and tokens sampled per sequence; one
thread; a KL term; one optimiser step a batch. Ours samples two attempts with the instruction
between them. TRL gets the prompt with the instruction's tokens in front and samples both attempts'
tokens in one turn. TRL's trainer runs its own loop; after each of its steps ours takes one, so
that a slow moment of the machine falls on both. A TRL step is timed from its `on_step_begin` to
its `on_step_end`: fetching the batch, logging and saving are left out. Both have the threads and
the allocator of `prepare_process`; deterministic kernels are on for ours alone, since in that mode
PyTorch fills every buffer it hands out, and TRL's loss asks for one far larger than it uses.
"""

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import timing
import torch
from datasets import Dataset
from subject import SHAPES, Subject, parser, step, subject, tokens
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.utils import logging as transformers_logging
from trl import GRPOConfig, GRPOTrainer

from selfcorrect.learning.trainer import Trainer
from selfcorrect.lm.models import prepare_process
from selfcorrect.records import Submission


@dataclass
class Side:
    """One side's steps: wall time, tokens in all, tokens sampled."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)

    def without(self, warmup: int) -> "Side":
        """The steps after the first ``warmup``."""
        return Side(self.seconds[warmup:], self.tokens[warmup:], self.sampled[warmup:])


class SideBySide(TrainerCallback):
    """Times each step of TRL's trainer, and lets ours take one after it."""

    def __init__(self, ours: Trainer) -> None:
        self.trainer, self.trl, self.ours = ours, Side(), Side()
        self.seen = self.sampled = 0

    def reward(self, completion_ids: Sequence[Sequence[int]], **columns: Any) -> list[float]:
        """TRL's reward function: our grader's verdict on each completion."""
        self.sampled = sum(map(len, completion_ids))
        setting = self.trainer.setting
        submissions = [
            Submission(setting.problems[row], text)
            for text, row in zip(columns["completions"], columns["row"], strict=True)
        ]
        return [grade.reward for grade in setting.task.grade(submissions)]

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start TRL's clock."""
        torch.use_deterministic_algorithms(False)
        self.began = time.perf_counter()

    def on_step_end(self, _arguments: Any, state: Any, *_: Any, **__: Any) -> None:
        """Stop TRL's clock; our turn."""
        self.trl.seconds.append(time.perf_counter() - self.began)
        self.trl.tokens.append(int(state.num_input_tokens_seen) - self.seen)
        self.trl.sampled.append(self.sampled)
        self.seen = int(state.num_input_tokens_seen)

        torch.use_deterministic_algorithms(True)
        began = time.perf_counter()
        traces = step(self.trainer)
        self.ours.seconds.append(time.perf_counter() - began)
        count, sampled = tokens(traces)
        self.ours.tokens.append(count)
        self.ours.sampled.append(sampled)


def compare(what: Subject, rounds: int, warmup: int) -> tuple[Side, Side]:
    """``rounds`` steps of ours and of TRL's in turns, after ``warmup`` that do not count."""
    callback = SideBySide(what.trainer())
    new_tokens = what.rl.turns * what.generation.max_new_tokens
    with tempfile.TemporaryDirectory() as folder:
        lm = what.language_model(full_length=False)  # TRL mutes EOS by itself: min_new_tokens
        lm.model.save_pretrained(folder)
        lm.chat.tokenizer.save_pretrained(folder)
        arguments = GRPOConfig(
            output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False,
            per_device_train_batch_size=what.rows, num_generations=what.rl.samples_per_prompt,
            num_iterations=1, max_steps=warmup + rounds, max_completion_length=new_tokens,
            generation_kwargs={"min_new_tokens": new_tokens}, temperature=what.rl.temperature,
            beta=what.rl.beta1, learning_rate=what.rl.learning_rate,
            lr_scheduler_type="constant", max_grad_norm=what.rl.max_grad_norm,
            loss_type="dr_grpo", scale_rewards="none", report_to="none",
            logging_strategy="no", save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = GRPOTrainer(
            AutoModelForCausalLM.from_pretrained(folder),
            callback.reward,
            arguments,
            train_dataset=prompts(what, (warmup + rounds) * what.rl.prompts_per_batch),
            processing_class=AutoTokenizer.from_pretrained(folder),
            callbacks=[callback],
        )
        with contextlib.redirect_stdout(None):
            trainer.train()
    return callback.ours.without(warmup), callback.trl.without(warmup)


def prompts(what: Subject, count: int) -> Dataset:
    """TRL's rows: a text of exactly the tokens that one of our conversations reads."""
    chat = what.language_model(full_length=False).chat
    # A full-length attempt has no EOS of its own, so the whole bridge is read.
    bridge = chat.tokenizer.decode(chat.bridge(what.task.prompts.correction))
    rows = []
    for row in range(count):
        problem = what.problems[row % len(what.problems)]
        opening = chat.opening(what.task.prompts.opening(problem.question))
        text = chat.tokenizer.decode(opening) + (what.rl.turns - 1) * bridge
        rows.append({"prompt": text, "row": row % len(what.problems)})
    return Dataset.from_list(rows)


def main() -> None:
    """Print one line a model: tokens and times of both sides, and TRL's time over ours."""
    command = parser(__doc__)
    command.add_argument("models", nargs="*", default=list(SHAPES), help=", ".join(SHAPES))
    command.add_argument("--rounds", type=int, default=20)
    command.add_argument("--warmup", type=int, default=3)
    arguments = command.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    transformers_logging.disable_progress_bar()
    prepare_process()

    rows = []
    for name in arguments.models:
        what = subject(arguments, name)
        ours, trl = compare(what, arguments.rounds, arguments.warmup)
        weights = what.language_model(full_length=False).model.num_parameters()
        ratios = [b / a for a, b in zip(ours.seconds, trl.seconds, strict=True)]
        rows.append([
            f"{name}, {weights / 1e6:.2f} M", what.rows,
            *(f"{side.tokens[0]} / {side.sampled[0]}" for side in (ours, trl)),
            *(timing.spread(side.seconds, 3) for side in (ours, trl)),
            timing.spread(ratios), len(ratios),
        ])  # fmt: skip
        for side in (ours, trl):
            assert set(side.tokens) == set(ours.tokens) and set(side.sampled) == set(ours.sampled)
    header = ["model", "sequences", "ours: tokens / sampled", "TRL: tokens / sampled",
              "ours: s a step", "TRL: s a step",
              "TRL ÷ ours", "rounds"]  # fmt: skip
    print(timing.machine(), timing.table(header, rows), sep="\n\n")


if __name__ == "__main__":
    main()
