"""Sampling by vLLM, in one process with the model that it has a copy of.

vLLM's weights are its own, and ``refresh`` overwrites them in place. A further turn is the whole
conversation sent once more: vLLM's prefix cache holds what it has read of it. Conversations go in
and out as token ids, so vLLM needs no tokenizer and ours is the only one.

vLLM is not a requirement of this package: docs/engines.md says how to install it.
"""

import os
from collections.abc import Sequence
from typing import Any

from selfcorrect.lm.engine import Completion, check_fits, context_of
from selfcorrect.lm.merged import merged_weights
from selfcorrect.validation import ConfigError

# The prefix cache holds whole blocks only: tokens of a part of a block are read again. vLLM's block
# on a CPU has 128 tokens by default, more than a short conversation; 32 is its smallest there.
BLOCK = 32
BATCH = 4096  # tokens that vLLM reads at a time on a CPU, or one conversation if that is longer


class VLLMEngine:
    """Samples from a copy of ``model``. A process can have one: vLLM's engines share state."""

    def __init__(self, model: Any, eos: int, cache_mb: int) -> None:
        """Start vLLM, which takes seconds, on the model's present weights.

        Args:
            model: loaded from a folder or the Hub, where vLLM finds its architecture.
            eos: what ends an attempt.
            cache_mb: memory of the KV cache, in MiB.

        Raises:
            ConfigError: vLLM is not installed, does not know the model's architecture, or a
                conversation as long as the model's context does not fit the cache.
        """
        self.model = model
        self.eos = eos
        self.context = context_of(model.config.get_text_config())
        self.vllm = _vllm()
        try:
            self.llm = self._start(cache_mb)
        except ValueError as error:
            raise ConfigError(
                f"generation.engine: vLLM does not take {model.config.name_or_path} with "
                f"generation.cache_mb: {cache_mb} ({error})"
            ) from error
        self.refresh()

    def _start(self, cache_mb: int) -> Any:
        cpu = self.model.device.type == "cpu"
        config = self.model.config  # of a model with an adapter: its base's
        return self.vllm.LLM(
            config.name_or_path,
            revision=getattr(config, "_commit_hash", None),  # the one that was loaded
            dtype=str(self.model.dtype).removeprefix("torch."),
            max_model_len=self.context,
            skip_tokenizer_init=True,
            use_tqdm_on_load=False,
            generation_config="vllm",  # not the checkpoint's: it may change the distribution
            logprobs_mode="processed_logprobs",  # after the temperature
            enable_prefix_caching=True,
            block_size=BLOCK,
            kv_cache_memory_bytes=cache_mb << 20,
            # vLLM would else refuse to start unless nearly all of the GPU were free, and the
            # trainer has its share of it; the cache's size is given, so nothing else depends on it.
            gpu_memory_utilization=0.01,
            # Graphs and compiled kernels pay on a GPU; on a CPU they only take time to make.
            enforce_eager=cpu,
            # After a part of a prompt vLLM draws a token and takes the draw back, which fails for a
            # row with a seed on a CPU. There prompts are read whole.
            enable_chunked_prefill=not cpu,
            max_num_batched_tokens=max(BATCH, self.context) if cpu else None,
        )

    def open(self, prompts: Sequence[Sequence[int]], copies: int = 1) -> "VLLMSession":
        """Start ``copies`` rows for each prompt."""
        return VLLMSession(self, prompts, copies)

    def refresh(self) -> None:
        """Overwrite vLLM's weights with the model's present ones, adapters merged into them."""
        weights = {"weights_iterator": merged_weights(self.model)}
        self.llm.collective_rpc("reload_weights", kwargs=weights)
        self.llm.reset_prefix_cache()  # it was computed by the weights of before


class VLLMSession:
    """A batch of conversations, each the token ids of all that was read and written in it."""

    def __init__(self, engine: VLLMEngine, prompts: Sequence[Sequence[int]], copies: int) -> None:
        self._engine = engine
        self._rows = [list(prompt) for prompt in prompts for _ in range(copies)]

    def extend(self, tokens: Sequence[Sequence[int]]) -> None:
        """Append tokens to every row; rows may differ in how many."""
        for row, new in zip(self._rows, tokens, strict=True):
            row += new

    def sample(
        self, max_new_tokens: int, temperature: float, seeds: Sequence[int]
    ) -> list[Completion]:
        """Let every row write one attempt."""
        engine = self._engine
        check_fits(max(map(len, self._rows)) + 1, engine.context)
        limits = [
            engine.vllm.SamplingParams(
                temperature=temperature,
                seed=seed,
                max_tokens=max_new_tokens,
                stop_token_ids=[engine.eos],
                ignore_eos=True,  # the checkpoint's EOS, which may be another
                logprobs=0,  # of the sampled token alone
                detokenize=False,
            )
            for seed in seeds
        ]
        prompts = [{"prompt_token_ids": row} for row in self._rows]
        outputs = engine.llm.generate(prompts, limits, use_tqdm=False)
        done = [self._completion(request.outputs[0]) for request in outputs]
        for row, out in zip(self._rows, done, strict=True):
            row += out.tokens
            if out.truncated and len(out.tokens) < max_new_tokens:  # the context ended it
                check_fits(len(row) + 1, engine.context)
        return done

    def _completion(self, output: Any) -> Completion:
        tokens = list(output.token_ids)
        logprobs = [of[token].logprob for of, token in zip(output.logprobs, tokens, strict=True)]
        return Completion(tokens, logprobs, truncated=tokens[-1] != self._engine.eos)


def _vllm() -> Any:
    """The package, set up to run in this process.

    Raises:
        ConfigError: it is not installed.
    """
    # In a process of its own vLLM could not be handed the weights as they lie in memory.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    # Its warnings are of what we leave out on purpose (a tokenizer, threads of its own), at length.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        import vllm
    except ImportError as error:
        raise ConfigError(
            f"generation.engine: vllm, but vLLM cannot be imported here ({error}): install it as "
            "docs/engines.md says (`pip install vllm` in an environment of its own), or set the "
            "key to torch"
        ) from error
    return vllm
