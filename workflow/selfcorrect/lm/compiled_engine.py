"""The built-in engine with compiled token steps; on a GPU each is replayed as one CUDA graph.

Reading one token a row takes a large model hundreds of small kernels, which a GPU may finish
before Python has called the next. Compiled, a step is one call. Prompts and bridges are read as by
``torch_engine.py``, whose cache keeps the conversations; for the length of an attempt the rows
move into a cache of fixed shapes. Batches shrink by halves, so that there are few shapes.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._dynamo import config as tracing
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._inductor import config as compiling

from selfcorrect.lm.engine import check_fits
from selfcorrect.lm.fixed import FixedCache, rounded_up
from selfcorrect.lm.torch_engine import TorchEngine, TorchSession
from selfcorrect.validation import ConfigError


class CompiledEngine(TorchEngine):
    """Samples from ``model``, whose token steps are compiled at the first one; it takes a while."""

    def __init__(self, model: Any, eos: int, pad: int, columns: int | None = None) -> None:
        """See ``TorchEngine``.

        Raises:
            ConfigError: the environment tells torch to compile nothing.
        """
        super().__init__(model, eos, pad, columns)
        for name in ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE"):
            if os.environ.get(name, "0") == "1":
                raise ConfigError(
                    f"generation.engine: compiled, but the environment has {name}=1, with which "
                    "torch compiles nothing: unset it, or set the engine to torch"
                )
        # Kept from session to session: a CUDA graph reads and writes where it was recorded.
        layers = int(model.config.get_text_config().num_hidden_layers)
        self.cache = FixedCache(layers, model.device)
        # With dynamic shapes a model's own numbers, such as a norm's epsilon, would be inputs too,
        # on the CPU, and what comes from there is in no CUDA graph.
        tracing.specialize_float = True
        compiling.triton.cudagraph_dynamic_shape_warn_limit = None  # a graph a shape is meant
        # This mode records CUDA graphs; on a CPU it is the default one.
        self._step = torch.compile(_step, fullgraph=True, dynamic=True, mode="reduce-overhead")

    def open(self, prompts: Sequence[Sequence[int]], copies: int = 1) -> "CompiledSession":
        """Read the prompts, each once, and start ``copies`` rows for each."""
        return CompiledSession(self, prompts, copies)

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Read one token a row [R, 1]; logits [R, V], until the next step.

        Raises:
            ConfigError: the model cannot be compiled, or not on this machine.
        """
        torch.compiler.cudagraph_mark_step_begin()  # the logits of the last step are done with
        try:
            return self._step(self.model, self.cache, tokens, mask, positions)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            cause = getattr(error, "inner_exception", None)
            if isinstance(cause, MemoryError | torch.OutOfMemoryError):
                raise cause from error
            why = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"generation.engine: compiled, but torch.compile does not take "
                f"{type(self.model).__name__} here ({why}). It needs a C++ compiler (g++; for a "
                "GPU also Triton, a C compiler and Python's headers) and attention that is sdpa or "
                "eager. Set it to torch, or to vllm"
            ) from error


class CompiledSession(TorchSession):
    """A batch of conversations, of which attempts are written in the engine's fixed cache."""

    _engine: CompiledEngine
    _columns = 0  # of the fixed cache, in the present attempt

    def _begin(self, rows: Tensor, columns: int) -> None:
        self._columns = rounded_up(columns)
        self._select(rows)

    def _size(self, going: int, rows: int) -> int:
        while rows > 2 and going <= (rows + 1) // 2:  # for one row alone it would compile anew
            rows = (rows + 1) // 2
        return rows

    def _select(self, rows: Tensor) -> None:
        self._cache.move(rows, self._engine.cache, self._columns)

    def _read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        check_fits(mask.shape[1], self._engine.columns)
        self._engine.cache.position.fill_(mask.shape[1] - 1)
        ahead = torch.nn.functional.pad(mask, (0, self._columns - mask.shape[1]))
        positions = mask.sum(1, keepdim=True) - 1
        logits = self._engine.step(tokens.unsqueeze(1), ahead, positions)
        self._cache.advance()
        return logits


def _step(model: Any, cache: FixedCache, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
    output = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
    logits: Tensor = output.logits[:, -1]
    return logits
