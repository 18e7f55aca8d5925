"""Kinds of values that sections of the config share."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from selfcorrect.validation import Strict

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# What a model is told after an attempt: prompts.py.
Instruction = Literal["correction", "refinement", "rewording", "separator", "none"]
# Verdicts of the two attempts of a trace that is learned from: D has the first, D+ both (§4).
Transition = Literal["wrong_right", "right_right"]


def sums_to_one(shares: tuple[float, ...]) -> tuple[float, ...]:
    """The shares; refuses those of no whole."""
    total = sum(shares)
    if abs(total - 1) > 1e-6:
        raise ValueError(f"these shares must sum to 1, not {total:g}")
    return shares


class Mixture(Strict):
    """Shares that sum to 1."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        sums_to_one(tuple(self.model_dump().values()))
        return self
