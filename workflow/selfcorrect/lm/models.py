"""Models: made tiny from scratch, loaded from a folder or the Hub, saved whole or as an adapter.

Every model the workflow makes is an ordinary checkpoint: ``AutoModelForCausalLM`` and
``AutoTokenizer`` load it, offline; one trained with LoRA is an ordinary PEFT folder that names its
base. The tiny model takes the same path as any other.
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
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils import cached_file, find_adapter_config_file
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import extract_commit_hash

from selfcorrect import files, provenance
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.head import check_head
from selfcorrect.spec import Loading, LoRA, TinyModel
from selfcorrect.validation import ConfigError

PLAIN = Loading(revision=None, dtype="float32", attention=None)
ADAPTER = "adapter_config.json"  # what tells an adapter's folder


@dataclass(frozen=True)
class LanguageModel:
    """A model with the conversations of its tokenizer."""

    model: Any
    chat: Chat


def prepare_process(threads: int = 1, device: str = "cpu") -> None:
    """Set torch up for one job among several: its threads, reproducible kernels, the allocator.

    On a GPU kernels are not reproducible to the last bit: some that are needed have no such form.

    Raises:
        ConfigError: there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "compute.device: cuda, but torch finds no GPU here: set it to cpu, or install a build "
            "of torch for this machine's GPU (https://pytorch.org/get-started)"
        )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device == "cpu")
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


def load(path: str | Path, loading: Loading = PLAIN, device: str = "cpu") -> LanguageModel:
    """Load a checkpoint, or a base with the adapter that a folder holds, in evaluation mode.

    Raises:
        FileProblem: the folder is missing, one of its files is damaged, its weights are not those
            of its architecture, or its class makes logits in a way that is not known here; the
            message names it.
        ChatTemplateError: its tokenizer cannot carry a conversation.
    """
    folder = Path(path)
    if folder.is_dir():
        provenance.check(folder)
    elif str(path).startswith((".", "/", "~")) or str(path).count("/") > 1:
        raise files.FileProblem(f"{path}: no such model folder")
    whole = _whole(str(path))
    chat = read_chat(str(path), loading.revision)
    try:
        commit = _commit(whole, loading.revision)
        model, report = AutoModelForCausalLM.from_pretrained(
            whole,
            revision=commit or loading.revision,
            dtype=getattr(torch, loading.dtype),
            attn_implementation=loading.attention,
            output_loading_info=True,
        )
        if whole != str(path):
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except Exception as error:  # whatever a reader of weights, JSON or the Hub may raise
        raise files.FileProblem(_explained(str(path), error)) from error
    provenance.note_commit(whole, commit)
    model.config._commit_hash = commit  # where vLLM looks; transformers 5.23 leaves it out
    if absent := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise files.FileProblem(
            f"{whole}: its weights are not those of a {type(model).__name__}, which its "
            f"config.json promises ({len(absent)} are absent or of another shape, {absent[0]} "
            "among them). Check `model.path` in the config."
        )
    check_head(model.eval().to(device), str(path))
    return LanguageModel(model, chat)


def read_chat(path: str, revision: str | None) -> Chat:
    """The conversations of a checkpoint's tokenizer, without its weights.

    Raises:
        FileProblem: it cannot be loaded; the message names it.
        ChatTemplateError: it cannot carry a conversation.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    except Exception as error:  # whatever a reader of JSON or the Hub may raise
        raise files.FileProblem(_explained(path, error)) from error
    return Chat(tokenizer)


def read_config(path: str, revision: str | None) -> Any:
    """A checkpoint's configuration, or that of the base which a folder's adapter names.

    Raises:
        FileProblem: it cannot be loaded; the message names it.
    """
    try:
        return AutoConfig.from_pretrained(_whole(path), revision=revision)
    except Exception as error:  # whatever a reader of JSON or the Hub may raise
        raise files.FileProblem(_explained(path, error)) from error


def check_base(path: str, revision: str | None, task: str) -> None:
    """Refuse an adapter, of a folder or on the Hub, as a task's base model.

    It would be trained further in place of all weights, and where the policy with its adapter off
    is the reference, that would be the model under it.

    Raises:
        ConfigError: it is one.
        FileProblem: there is nothing of that name; the message names it.
    """
    try:
        found = find_adapter_config_file(path, revision=revision)
    except Exception as error:  # whatever a reader of the Hub may raise
        raise files.FileProblem(_explained(path, error)) from error
    if found is not None:
        raise ConfigError(
            f"tasks.{task}.model.path: {path} is an adapter (it has {ADAPTER}), not a whole model. "
            "Merge it into its base first: load it by `peft.AutoPeftModelForCausalLM`, call "
            "`merge_and_unload()`, `save_pretrained` the result and its tokenizer in another "
            "folder, and give that one"
        )


def adapted(lm: LanguageModel, lora: LoRA, seed: int) -> LanguageModel:
    """``lm`` with an adapter to train: the one that it has, or else a new one, drawn from ``seed``.

    Raises:
        ConfigError: it has no layers of the names that are asked for.
    """
    from peft import PeftModel

    if isinstance(lm.model, PeftModel):
        return lm
    torch.manual_seed(seed)
    return LanguageModel(with_adapter(lm.model, lora).eval(), lm.chat)


def with_adapter(model: Any, lora: LoRA) -> Any:
    """A model with a new adapter on it, whose weights alone require a gradient.

    Raises:
        ConfigError: it has no layers of the names that are asked for.
    """
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=lora.modules if isinstance(lora.modules, str) else list(lora.modules),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, settings)
    except ValueError as error:
        raise ConfigError(f"model.lora.modules: {error}") from error


def _whole(path: str) -> str:
    """The checkpoint itself, or the base that a folder's adapter names."""
    adapter = Path(path) / ADAPTER
    return files.read_json(adapter)["base_model_name_or_path"] if adapter.is_file() else path


def _commit(path: str, revision: str | None) -> str | None:
    """The commit on the Hub that a revision names at present, None of a local folder."""
    found: str | None = extract_commit_hash(
        cached_file(path, "config.json", revision=revision), None
    )
    return found


def _explained(path: str, error: Exception) -> str:
    """Why a model cannot be loaded, and what to do, in one line."""
    said = " ".join(str(error).split())
    if "gated repo" in said or "awaiting a review" in said:
        advice = (
            "Its owners ask for consent: give it on the model's page on the Hub, then log in "
            "(`hf auth login`), or set `model.path` to another model or a local copy."
        )
    elif "onnect to" in said or "offline mode" in said or "MaxRetry" in said:
        advice = (
            "The Hub cannot be reached and no copy is in the cache: set `model.path` to a local "
            "folder, or fetch the model on a machine with a network (`hf download`)."
        )
    elif "valid git identifier" in said:
        advice = "Set `model.revision` to a commit, branch or tag of it, or to null."
    elif "FlashAttention" in said or "flash_attn" in said:
        advice = "Set `model.attention` to sdpa, or install flash-attn for this machine's GPU."
    elif "attn_implementation" in said:
        said, advice = said.split(". ")[0], "Set `model.attention` to eager or null."
    elif "Unrecognized configuration class" in said:
        said, advice = (
            said.split(" Model type should be")[0],
            "It is no causal language model; set `model.path` to one.",
        )
    else:
        advice = "Check `model.path` in the config; it is a local folder or a Hugging Face name."
    return f"{path}: cannot be loaded as a model ({type(error).__name__}: {said}). {advice}"


def save(
    lm: LanguageModel, folder: Path, record: dict[str, Any], dtype: torch.dtype | None = None
) -> None:
    """Write a checkpoint folder with its provenance, whole or not at all.

    Weights are written in ``dtype``; by default in the model's own, and always an adapter's.

    Raises:
        FileProblem: the folder is not writable or the disk is full.
    """
    state = {}
    if dtype not in (None, lm.model.dtype) and not hasattr(lm.model, "peft_config"):
        rounded: dict[int, torch.Tensor] = {}  # by address: tied weights stay one
        state["state_dict"] = {
            name: rounded.setdefault(value.data_ptr(), value.to("cpu", dtype))
            for name, value in lm.model.state_dict().items()
        }
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        try:
            lm.model.save_pretrained(temporary, **state)
        except SafetensorError as error:  # its text holds the system's number, nothing else does
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error
        lm.chat.tokenizer.save_pretrained(temporary)
        provenance.seal(temporary, record)
