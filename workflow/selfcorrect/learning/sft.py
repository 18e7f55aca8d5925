"""Supervised fine-tuning on traces, by TRL's ``SFTTrainer``."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PrinterCallback, ProgressCallback
from trl import SFTConfig, SFTTrainer

from selfcorrect.lm.models import LanguageModel, adapted, load
from selfcorrect.records import Trace
from selfcorrect.spec import SFT, Adaptation

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


def trainable(path: str, loading: Adaptation, device: str, seed: int) -> LanguageModel:
    """The model that fine-tuning starts from: an adapter on it, or all its weights in float32."""
    if loading.lora is not None:
        return adapted(load(path, loading, device), loading.lora, seed)
    return load(path, loading.model_copy(update={"dtype": "float32"}), device)


def finetune(
    lm: LanguageModel,
    traces: Sequence[Trace],
    sft: SFT,
    loading: Adaptation,
    seed: int,
    work: Path,
) -> None:
    """Fine-tune a ``trainable`` model in place. Without traces it stays as it is."""
    if traces:
        _train(lm, traces, sft, loading, seed, work)
    if loading.lora is None:
        lm.model.to(getattr(torch, loading.dtype))


def _train(
    lm: LanguageModel,
    traces: Sequence[Trace],
    sft: SFT,
    loading: Adaptation,
    seed: int,
    work: Path,
) -> None:
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
            bf16=loading.dtype == "bfloat16",
            gradient_checkpointing=loading.gradient_checkpointing,
            use_cpu=lm.model.device.type == "cpu",
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
