"""The sampling interface: what a rollout asks of a backend.

A backend opens a *session* on a batch of prompts and keeps whatever it needs (a KV cache) to go
on from there: ``sample`` lets every row write an attempt, ``extend`` appends tokens that the
rows read, and so on for as many turns as wanted. ``torch_engine.py`` is the built-in backend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
    """A backend with a model."""

    def open(self, prompts: Sequence[Sequence[int]], copies: int = 1) -> Session:
        """Start ``copies`` rows for each prompt, copies side by side, prompts read once."""
        ...
