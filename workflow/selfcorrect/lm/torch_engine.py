"""The built-in sampling backend: any `transformers` causal model, in batches, on CPU or GPU.

Columns of the batch are shared: a row that stops early leaves masked columns behind, which its
positions skip. A sampled token is read by the model only when something follows it, so a row's
last token (its EOS) costs no forward pass of its own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from selfcorrect.lm.engine import Completion, check_fits, context_of
from selfcorrect.lm.slab import slab_cache
from selfcorrect.seeds import uniforms

# Copying the cache to drop rows costs about as much as a few tokens: worth it once this share of
# the rows in play has finished.
RETIRE_AT = 0.25


class TorchEngine:
    """Samples from ``model``; its weights may be updated between sessions."""

    def __init__(self, model: Any, eos: int, pad: int, columns: int | None = None) -> None:
        """``columns``: tokens a conversation may have; by default what the model allows."""
        self.model = model
        self.eos = eos
        self.pad = pad
        self.columns = columns or context_of(model.config.get_text_config())

    def open(self, prompts: Sequence[Sequence[int]], copies: int = 1) -> "TorchSession":
        """Read the prompts, each once, and start ``copies`` rows for each."""
        return TorchSession(self, prompts, copies)

    def refresh(self) -> None:
        """Nothing to do: sessions read the model itself."""


class TorchSession:
    """A batch of conversations with its KV cache. [R] rows, columns as they come."""

    def __init__(self, engine: TorchEngine, prompts: Sequence[Sequence[int]], copies: int) -> None:
        self._engine = engine
        self._device = engine.model.device
        rows = len(prompts)
        self._mask = torch.zeros((rows, 0), dtype=torch.long, device=self._device)  # [R, columns]
        self._cache = slab_cache(engine.model.config)
        self._logits = torch.empty(0)  # [R, V] of each row's next token
        self._pending: list[list[int]] = [[] for _ in range(rows)]  # written, not read yet
        self.extend(prompts)
        if copies > 1:
            self._cache.repeat(copies)
            self._mask = self._mask.repeat_interleave(copies, 0)
            self._logits = self._logits.repeat_interleave(copies, 0)
            self._pending = [[] for _ in range(rows * copies)]

    @torch.inference_mode()
    def extend(self, tokens: Sequence[Sequence[int]]) -> None:
        """Append tokens to every row; rows may differ in how many."""
        blocks = [[*held, *new] for held, new in zip(self._pending, tokens, strict=True)]
        width = max(map(len, blocks))
        pad = self._engine.pad
        block = torch.tensor([[pad] * (width - len(row)) + row for row in blocks])
        real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in blocks])
        self._mask = torch.cat([self._mask, real.to(self._device)], 1)
        self._logits = self._forward(block.to(self._device), self._mask)
        self._pending = [[] for _ in blocks]

    @torch.inference_mode()
    def sample(
        self, max_new_tokens: int, temperature: float, seeds: Sequence[int]
    ) -> list[Completion]:
        """Let every row write one attempt."""
        rows = len(self._pending)
        drawn = uniforms(seeds, max_new_tokens)  # one number per row and token
        uniform = torch.from_numpy(drawn).float().to(self._device)
        tokens = torch.full((rows, max_new_tokens), self._engine.pad, device=self._device)
        logprobs = torch.zeros((rows, max_new_tokens), device=self._device)
        length = torch.full((rows,), max_new_tokens, device=self._device)
        ended = torch.zeros(rows, dtype=torch.bool, device=self._device)

        playing = torch.arange(rows, device=self._device)  # the rows in the cache's batch
        logits, mask, start = self._logits, self._mask, self._mask.shape[1]
        self._begin(playing, start + max_new_tokens - 1)
        for step in range(max_new_tokens):
            chosen, chosen_logprobs = choose(logits, temperature, uniform[playing, step])
            alive = ~ended[playing]
            tokens[playing, step] = torch.where(alive, chosen, self._engine.pad)
            logprobs[playing, step] = torch.where(alive, chosen_logprobs, 0.0)
            finished = alive & (chosen == self._engine.eos)
            length[playing[finished]] = step + 1
            ended[playing[finished]] = True
            alive &= ~finished
            going = int(alive.sum())
            if going == 0 or step + 1 == max_new_tokens:
                break
            if (size := self._size(going, len(playing))) < len(playing):
                kept = alive.int().argsort(descending=True, stable=True)[:size].sort().values
                playing, chosen, mask, alive = playing[kept], chosen[kept], mask[kept], alive[kept]
                self._select(playing)
            mask = torch.cat([mask, alive.long().unsqueeze(1)], 1)
            logits = self._read(chosen, mask)
        self._cache.restore()

        # Every token but a row's last has been read: those columns are real, the rest holes.
        read = torch.arange(step, device=self._device) < (length - 1).unsqueeze(1)
        self._mask = torch.cat([self._mask, read.long()], 1)
        assert self._mask.shape[1] == start + step
        written = [row[:count] for row, count in zip(tokens.tolist(), length.tolist(), strict=True)]
        self._pending = [row[-1:] for row in written]
        return [
            Completion(row, probs[: len(row)], not done)
            for row, probs, done in zip(written, logprobs.tolist(), ended.tolist(), strict=True)
        ]

    # How token steps are computed; ``compiled_engine.py`` has another way.

    def _begin(self, rows: Tensor, columns: int) -> None:
        """Before an attempt, which fills at most so many columns."""

    def _size(self, going: int, rows: int) -> int:
        """With how many rows to go on, where ``going`` of ``rows`` have not finished."""
        return going if going <= (1 - RETIRE_AT) * rows else rows

    def _select(self, rows: Tensor) -> None:
        """Go on with these rows alone."""
        self._cache.select(rows)

    def _read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Read one token a row [R]; logits [R, V] after it."""
        return self._forward(tokens.unsqueeze(1), mask)

    def _forward(self, block: Tensor, mask: Tensor) -> Tensor:
        """Read a block [R, k]; logits [R, V] after its last column."""
        check_fits(mask.shape[1], self._engine.columns)
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -block.shape[1] :]
        output = self._engine.model(
            input_ids=block,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits


def choose(logits: Tensor, temperature: float, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Choose a token per row by inverting the cumulative distribution at ``uniform``.

    Args:
        logits: [R, V].
        temperature: 0 takes the most likely token.
        uniform: [R] in [0, 1).

    Returns:
        tokens [R], and their log-probs [R] under the sampling distribution (greedy: under
        temperature 1).
    """
    scaled = logits.float() / (temperature or 1.0)
    logprobs = scaled.log_softmax(-1)
    if temperature == 0:
        token = logprobs.argmax(-1, keepdim=True)
    else:
        cumulative = logprobs.exp().cumsum(-1)
        # Strictly above: on a CPU, which adds in order, no token of probability zero is chosen. A
        # GPU adds in parts, whose rounding may let one in where a draw falls on its very place;
        # float64 would make that rarer, not impossible, at two to four times the cost on a CPU.
        threshold = uniform.unsqueeze(1) * cumulative[:, -1:]
        token = torch.searchsorted(cumulative, threshold, right=True)
        token = token.clamp(max=logits.shape[-1] - 1)
    return token.squeeze(1), logprobs.gather(1, token).squeeze(1)
