"""Supervised fine-tuning on traces, by TRL's ``SFTTrainer``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTConfig, SFTTrainer

from selfcorrect import files
from selfcorrect.lm.models import LanguageModel, adapted, load, save
from selfcorrect.records import Trace
from selfcorrect.spec import SFT, Adaptation

IGNORED = -100  # the label of tokens without loss
SNAPSHOTS = "snapshots"


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
    snapshots: int = 0,
) -> None:
    """Fine-tune a ``trainable`` model in place. Without traces it stays as it is.

    ``work`` is the job's own folder: of its checkpoints, the last whole one is gone on from. As
    many ``snapshots`` of the model are kept in a folder of that name there (``step<n>``), evenly
    spaced, the last of them at the end.
    """
    (work / SNAPSHOTS).mkdir(exist_ok=True)
    if traces:
        lm.model.train()
        trainer = SFTTrainer(
            model=lm.model,
            processing_class=lm.chat.tokenizer,
            train_dataset=Dataset.from_list([labelled(trace, sft.supervise) for trace in traces]),
            args=arguments(sft, loading, seed, work, lm.model.device.type),
        )
        if sys.stderr.isatty():
            trainer.remove_callback(PrinterCallback)
        else:
            trainer.remove_callback(ProgressCallback)
        dtype = getattr(torch, loading.dtype)
        trainer.add_callback(_Snapshots(lm, snapshots, work / SNAPSHOTS, dtype))
        trainer.train(resume_from_checkpoint=whole_checkpoint(work))
        lm.model.eval()
    if loading.lora is None:
        lm.model.to(getattr(torch, loading.dtype))


def arguments(sft: SFT, loading: Adaptation, seed: int, work: Path, device: str) -> SFTConfig:
    """What the trainer is told; it is to use one device, however many there are."""
    at_a_time = sft.traces_per_micro_batch or sft.batch_size
    made = SFTConfig(
        output_dir=str(work),
        learning_rate=sft.learning_rate,
        num_train_epochs=sft.epochs,
        per_device_train_batch_size=at_a_time,
        gradient_accumulation_steps=sft.batch_size // at_a_time,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        seed=seed % 2**32,
        data_seed=seed % 2**32,
        bf16=loading.dtype == "bfloat16",
        gradient_checkpointing=loading.gradient_checkpointing,
        use_cpu=device == "cpu",
        save_strategy="steps",
        save_steps=sft.checkpoint_every,
        save_total_limit=1,
        report_to="none",
        logging_steps=10,
        disable_tqdm=not sys.stderr.isatty(),
    )
    # It counts the GPUs in sight when first asked for them, and would share every micro-batch over
    # them all (TRL refuses to): another batch size, and GPUs of other jobs. No option says one.
    _ = made.n_gpu
    made._n_gpu = 1
    return made


def whole_checkpoint(work: Path) -> str | None:
    """The newest checkpoint that was written to its end; all others are deleted.

    The trainer writes into a checkpoint's own folder, its state last: killed meanwhile it leaves
    a folder that it could not go on from, and would choose.
    """
    newest: Path | None = None
    found = work.glob("checkpoint-*")
    for folder in sorted(found, key=lambda path: int(path.name.split("-")[1]), reverse=True):
        if newest is None and _whole(folder):
            newest = folder
        else:
            files.remove(folder)
    return None if newest is None else str(newest)


def _whole(checkpoint: Path) -> bool:
    try:
        files.read_json(checkpoint / TRAINER_STATE_NAME)
    except files.FileProblem:
        return False
    return True


class _Snapshots(TrainerCallback):
    """Keeps the model at ``count`` evenly spaced steps, in the precision that it is used in."""

    def __init__(self, lm: LanguageModel, count: int, folder: Path, dtype: torch.dtype) -> None:
        self.lm, self.count, self.folder, self.dtype = lm, count, folder, dtype

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the trainer after every optimiser step."""
        step, steps = state.global_step, state.max_steps
        if self.count * step // steps > self.count * (step - 1) // steps:
            save(self.lm, self.folder / f"step{step}", {"step": step}, self.dtype)
