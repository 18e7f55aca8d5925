"""Supervised fine-tuning on traces, by TRL's ``SFTTrainer``."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PrinterCallback, ProgressCallback
from trl import SFTConfig, SFTTrainer

from selfcorrect.lm.models import LanguageModel
from selfcorrect.records import Trace
from selfcorrect.spec import SFT

IGNORED = -100  # the label of tokens without loss


def labelled(trace: Trace, supervise: str) -> dict[str, list[int]]:
    """A trace's tokens, and labels on the attempts that are learned.

    ``supervise="last"`` teaches the last attempt alone (a wrong first attempt is context, not a
    model to follow); ``"all"`` teaches every attempt. Prompts are never learned.
    """
    tokens: list[int] = []
    labels: list[int] = []
    for number, attempt in enumerate(trace.attempts, start=1):
        learned = supervise == "all" or number == len(trace.attempts)
        tokens += [*attempt.prompt, *attempt.tokens]
        labels += [IGNORED] * len(attempt.prompt)
        labels += list(attempt.tokens) if learned else [IGNORED] * len(attempt.tokens)
    return {"input_ids": tokens, "labels": labels}


def finetune(lm: LanguageModel, traces: Sequence[Trace], sft: SFT, seed: int, work: Path) -> None:
    """Fine-tune ``lm`` in place. Without traces it stays as it is."""
    if not traces:
        return
    lm.model.train()
    trainer = SFTTrainer(
        model=lm.model,
        processing_class=lm.chat.tokenizer,
        train_dataset=Dataset.from_list([labelled(trace, sft.supervise) for trace in traces]),
        args=SFTConfig(
            output_dir=str(work),
            learning_rate=sft.learning_rate,
            num_train_epochs=sft.epochs,
            per_device_train_batch_size=sft.batch_size,
            lr_scheduler_type="linear",
            max_grad_norm=1.0,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            seed=seed % 2**32,
            data_seed=seed % 2**32,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
            logging_steps=10,
            disable_tqdm=not sys.stderr.isatty(),
        ),
    )
    if sys.stderr.isatty():
        trainer.remove_callback(PrinterCallback)
    else:
        trainer.remove_callback(ProgressCallback)
    trainer.train()
    lm.model.eval()
