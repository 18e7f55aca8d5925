"""Pretraining a tiny base model from scratch on a testbed's corpus."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from selfcorrect import seeds
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.checkpoint import Workspace
from selfcorrect.lm.models import LanguageModel, tiny_model
from selfcorrect.lm.tokenizer import word_level_tokenizer
from selfcorrect.progress import Progress
from selfcorrect.spec import Pretraining, TinyModel
from selfcorrect.tasks import Document, Testbed

STEPS_PER_BLOCK = 25  # documents are written and encoded for this many steps at a time


def tokenizer_of(task: Testbed) -> PreTrainedTokenizerFast:
    """The tokenizer of a testbed's tiny model: it knows every text that the model is shown."""
    pieces = task.alphabet()
    texts = [*map(task.prompts.opening, pieces), *task.prompts.instructions.values()]
    return word_level_tokenizer(texts, pieces)


def pretrain(
    task: Testbed, tiny: TinyModel, spec: Pretraining, seed: int, work: Workspace
) -> LanguageModel:
    """Train a tiny model on the corpus: next-token loss on the attempts.

    Questions are random digits and instructions are fixed, so there is nothing to learn in them;
    the loss is the mean over all tokens of attempts, EOS included.
    """
    tokenizer = tokenizer_of(task)
    lm = LanguageModel(tiny_model(tiny, tokenizer, seeds.derive(seed, "weights")), Chat(tokenizer))
    model = lm.model.train()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=spec.learning_rate, betas=(0.9, 0.98),
        weight_decay=spec.weight_decay, fused=True,
    )  # fmt: skip

    step = 0
    if (state := work.load()) is not None:
        step = state["step"]
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    progress = Progress("pretrain", spec.steps, step)
    for batch in _batches(task, lm.chat, spec, seed, step):
        for group in optimiser.param_groups:
            group["lr"] = spec.learning_rate * _schedule(step, spec)
        optimiser.zero_grad()
        loss = _accumulate(model, batch)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        work.record({"step": step, "loss": loss, "grad_norm": norm.item()})
        progress.advance(loss=loss)
        if step % spec.checkpoint_every == 0 and step < spec.steps:
            state = {"step": step, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
            work.save(state)
    progress.close()
    return LanguageModel(model.eval(), lm.chat)


def _schedule(step: int, spec: Pretraining) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    warmup = max(1, round(spec.warmup * spec.steps))
    if step < warmup:
        return (step + 1) / warmup
    along = (step - warmup) / max(1, spec.steps - warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * along))


def _batches(
    task: Testbed, chat: Chat, spec: Pretraining, seed: int, start: int
) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """From step ``start`` on, each step's (tokens, labels) [documents, length] by length."""
    for block in range(start // STEPS_PER_BLOCK, math.ceil(spec.steps / STEPS_PER_BLOCK)):
        rng = seeds.generator(seed, "corpus", block)
        documents = list(task.documents(rng, STEPS_PER_BLOCK * spec.batch_size))
        encoded = _encode(task, chat, documents)
        first = block * STEPS_PER_BLOCK
        for step in range(first, min(first + STEPS_PER_BLOCK, spec.steps)):
            if step >= start:
                rows = encoded[(step - first) * spec.batch_size :][: spec.batch_size]
                yield _by_length(rows)


def _encode(
    task: Testbed, chat: Chat, documents: Sequence[Document]
) -> list[tuple[list[int], list[int]]]:
    """Each document's tokens and labels (−100 outside attempts)."""
    openings = chat.openings([task.prompts.opening(document.question) for document in documents])
    flat = [attempt for document in documents for attempt in document.attempts]
    attempts = iter(chat.tokenizer(flat, add_special_tokens=False)["input_ids"])
    encoded = []
    for document, opening in zip(documents, openings, strict=True):
        bridge = list(chat.bridge(task.prompts.instruction(document.instruction)))[1:]
        tokens, labels = list(opening), [-100] * len(opening)
        for number in range(len(document.attempts)):
            if number:
                tokens += bridge
                labels += [-100] * len(bridge)
            attempt = [*next(attempts), chat.eos]
            tokens += attempt
            labels += attempt
        encoded.append((tokens, labels))
    return encoded


def _by_length(rows: Sequence[tuple[list[int], list[int]]]) -> list[tuple[Tensor, Tensor]]:
    """Rows of one length side by side: no padding, at most a few forward passes a step."""
    groups: dict[int, list[tuple[list[int], list[int]]]] = {}
    for row in rows:
        groups.setdefault(len(row[0]), []).append(row)
    return [
        (
            torch.tensor([tokens for tokens, _ in group]),
            torch.tensor([labels for _, labels in group]),
        )
        for _, group in sorted(groups.items())
    ]


def _accumulate(model: torch.nn.Module, batch: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Backpropagate the mean loss over the batch's labelled tokens; returns it."""
    labelled = sum(int((labels != -100).sum()) for _, labels in batch)
    total = 0.0
    for tokens, labels in batch:
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"
        )
        (loss / labelled).backward()
        total += loss.item()
    return total / labelled
