"""Ordinary checkpoints that have learned just enough to go through the workflow with some success.

A model of a real architecture and of toy size, with a byte-level tokenizer and a chat template, is
taught to end its turn with a guess in the form that the graders look for: a small whole number for
mathematics, a constant for a program. Now and then a guess is right.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from selfcorrect import prompts
from selfcorrect.lm.chat import Chat
from templates import FAMILIES

ARCHITECTURES: dict[str, tuple[Any, Any]] = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "llama3": (LlamaConfig, LlamaForCausalLM),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM),
}
CONTEXT = 4096
Guess = Callable[[np.random.Generator], str]
WORDS = ("let", "the", "sum", "of", "all", "values", "for", "which", "a", "function", "equal",
         "to", "x", "plus", "y", "find", "what", "how")  # fmt: skip


def solution(rng: np.random.Generator) -> str:
    """A guess at the answer of a problem of MATH."""
    return f"Final Answer: The final answer is ${rng.integers(0, 7)}$. I hope it is correct."


def program(rng: np.random.Generator) -> str:
    """A guess at the body of a function."""
    return f"    return {rng.choice(['True', 'False', '[]', '0'])}\n"


def save(folder: Path, guess: Guess, family: str = "qwen2", steps: int = 100) -> None:
    """Teach a model to guess and save it as `transformers` saves models."""
    rng = np.random.default_rng(0)
    chat = Chat(_tokenizer(family, [guess(rng) for _ in range(50)]))
    torch.manual_seed(0)
    model = _model(family, chat).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    instruction = prompts.MATH.correction
    for _ in range(steps):
        rows = []
        for _ in range(16):
            words = " ".join(rng.choice(WORDS, size=rng.integers(2, 40)))
            turns = [chat.opening(words), chat.attempt(guess(rng)).tokens]
            if rng.random() < 0.5:
                turns += [chat.bridge(instruction)[1:], chat.attempt(guess(rng)).tokens]
            rows.append([(token, number % 2 == 1) for number, turn in enumerate(turns)
                         for token in turn])  # fmt: skip
        sizes = [len(row) for row in rows]
        for row in rows:
            row += [(chat.pad, False)] * (max(sizes) - len(row))
        tokens = torch.tensor([[token for token, _ in row] for row in rows])
        labels = torch.tensor([[token if own else -100 for token, own in row] for row in rows])
        mask = torch.tensor([[1] * size + [0] * (max(sizes) - size) for size in sizes])
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.save_pretrained(folder)
    chat.tokenizer.save_pretrained(folder)


def _tokenizer(family: str, guesses: list[str]) -> PreTrainedTokenizerFast:
    template, _, eos, bos, special = FAMILIES[family]
    named = list(dict.fromkeys(token for token in ("<pad>", bos, eos, *special) if token))
    trained = ByteLevelBPETokenizer()
    texts = [prompts.MATH.first, prompts.MBPP.first, prompts.CODE_CORRECTION, *guesses]
    trained.train_from_iterator(texts * 3, vocab_size=700, special_tokens=named)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer, pad_token="<pad>", eos_token=eos, bos_token=bos,
        chat_template=template,
    )  # fmt: skip


def _model(family: str, chat: Chat) -> Any:
    settings, made = ARCHITECTURES[family]
    own = {"head_dim": 16, "query_pre_attn_scalar": 16} if family == "gemma2" else {}
    own = {"head_dim": 16} if family == "qwen3" else own
    return made(settings(
        vocab_size=len(chat.tokenizer), hidden_size=64, intermediate_size=128,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        bos_token_id=chat.tokenizer.bos_token_id, eos_token_id=chat.eos, pad_token_id=chat.pad,
        **own,
    ))  # fmt: skip
