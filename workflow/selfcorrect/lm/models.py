"""Models: made tiny from scratch, loaded from a folder or the Hub, saved whole.

Every model the workflow makes is an ordinary checkpoint: ``AutoModelForCausalLM`` and
``AutoTokenizer`` load it, offline. The tiny model takes the same path as any other.
"""

import ctypes
import errno
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from selfcorrect import files, provenance
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.head import check_head
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.spec import TinyModel


@dataclass(frozen=True)
class LanguageModel:
    """A model with the conversations of its tokenizer."""

    model: Any
    chat: Chat

    @property
    def engine(self) -> TorchEngine:
        """A sampling engine on the model's present weights."""
        return TorchEngine(self.model, self.chat.eos, self.chat.pad)


def prepare_process(threads: int = 1) -> None:
    """Set torch up for one job among several: its threads, reproducible kernels, the allocator."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Deterministic mode also fills every new buffer, for programs that read what they never wrote.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_flush_denormal(True)
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()  # a log is no place for bars
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let the C allocator keep what tensors free: fresh pages cost a tenth of a training step."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # not glibc
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, 1 << 30)
    mallopt(top_pad, 64 << 20)


def tiny_model(spec: TinyModel, tokenizer: Any, seed: int) -> Any:
    """A Llama-class model with random weights, drawn from ``seed``."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=spec.hidden_size,
            intermediate_size=spec.intermediate_size,
            num_hidden_layers=spec.layers,
            num_attention_heads=spec.heads,
            num_key_value_heads=spec.heads,
            max_position_embeddings=spec.max_positions,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def load(path: str | Path) -> LanguageModel:
    """Load a checkpoint in float32, in evaluation mode.

    Raises:
        FileProblem: the folder is missing, one of its files is damaged, or its class makes logits
            in a way that is not known here; the message names it.
        ChatTemplateError: its tokenizer cannot carry a conversation.
    """
    folder = Path(path)
    if folder.is_dir():
        provenance.check(folder)
    elif folder.is_absolute() or str(path).startswith((".", "results")):
        raise files.FileProblem(f"{path}: no such model folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path))
        model = AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32)
    except Exception as error:  # whatever a reader of weights, JSON or the Hub may raise
        why = " ".join(str(error).split())  # in one line
        raise files.FileProblem(
            f"{path}: cannot be loaded as a model ({type(error).__name__}: {why}). "
            "Check `model.path` in the config; it is a local folder or a Hugging Face name."
        ) from error
    check_head(model.eval(), str(path))
    return LanguageModel(model, Chat(tokenizer))


def save(lm: LanguageModel, folder: Path, record: dict[str, Any]) -> None:
    """Write a checkpoint folder with its provenance, whole or not at all.

    Raises:
        FileProblem: the folder is not writable or the disk is full.
    """
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        try:
            lm.model.save_pretrained(temporary)
        except SafetensorError as error:  # its text holds the system's number, nothing else does
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error
        lm.chat.tokenizer.save_pretrained(temporary)
        provenance.seal(temporary, record)
