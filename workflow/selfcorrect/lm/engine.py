"""The sampling interface: what a rollout asks of a backend.

A backend opens a *session* on a batch of prompts and keeps whatever it needs (a KV cache) to go
on from there: ``sample`` lets every row write an attempt, ``extend`` appends tokens that the
rows read, and so on for as many turns as wanted. ``torch_engine.py`` is the built-in backend,
``vllm_engine.py`` the one for large models; ``engines.py`` makes the one that a config names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from selfcorrect.validation import ConfigError


@dataclass(slots=True)
class Completion:
    """What one row wrote: tokens up to and with EOS, and their log-probs.

    ``logprobs`` are those of the sampling distribution, temperature included (of temperature 1
    where decoding was greedy). ``truncated``: the token limit came before EOS.
    """

    tokens: list[int]
    logprobs: list[float]
    truncated: bool


class Session(Protocol):
    """A batch of conversations in progress; rows keep their order."""

    def sample(
        self, max_new_tokens: int, temperature: float, seeds: Sequence[int]
    ) -> list[Completion]:
        """Let every row write one attempt. Temperature 0 is greedy.

        A row's randomness comes from its own seed, so its attempt does not depend on which rows
        are beside it.
        """
        ...

    def extend(self, tokens: Sequence[Sequence[int]]) -> None:
        """Append tokens to every row (at least one each)."""
        ...


class Engine(Protocol):
    """A backend with a model, whose weights may change between sessions.

    Another ``model`` of the same architecture may take its place, too; then ``refresh``.
    """

    model: Any

    def open(self, prompts: Sequence[Sequence[int]], copies: int = 1) -> Session:
        """Start ``copies`` rows for each prompt, copies side by side, prompts read once."""
        ...

    def refresh(self) -> None:
        """Sample from the model's present weights; to be called whenever they have changed."""
        ...


def context_of(config: Any) -> int:
    """Tokens a conversation may have: the model's context, or its sliding window if it has one.

    A window slides over columns, holes included: beyond it a row would not be read as by itself.
    """
    window = getattr(config, "sliding_window", None)
    return int(min(config.max_position_embeddings, window or config.max_position_embeddings))


def check_fits(tokens: int, context: int) -> None:
    """Refuse a conversation that is longer than ``context``.

    Raises:
        ConfigError: it says which keys make conversations shorter.
    """
    if tokens > context:
        raise ConfigError(
            f"a conversation of {tokens} tokens does not fit the model's {context}: lower "
            "generation.max_new_tokens, evaluation.window or rl.turns, or use a model with a "
            "longer context"
        )
