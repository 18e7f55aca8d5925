"""The config section of a method: one stage of training, or a prompt, on top of another's model."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)

from selfcorrect.spec.kinds import Count, Instruction, Name, Transition
from selfcorrect.spec.training import RL, SFT
from selfcorrect.validation import KeyFaultError, Strict


class Overrides(Strict):
    """Keys that are given, null among them; those that are not are inherited, and not written."""

    @model_serializer(mode="wrap")
    def _given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if key in self.model_fields_set}


def _optional(model: type[Strict], name: str) -> type[Overrides]:
    """``model`` with every key optional, for a method's overrides; nested models stay whole."""
    fields: dict[str, Any] = {
        key: (field.annotation | None if not field.metadata else Annotated[  # type: ignore[operator]
            field.annotation, *field.metadata] | None, Field(None, description=field.description))
        for key, field in model.model_fields.items()
    }  # fmt: skip
    made: type[Overrides] = create_model(name, __base__=Overrides, __doc__=model.__doc__, **fields)
    return made


class RLOverrides(_optional(RL, "RLFields")):  # type: ignore[misc]
    """Reinforcement learning of a method: what differs from the task's `rl`."""

    share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of the task's `rl.steps`: stages share what one-stage methods have"
    )


class STaR(_optional(SFT, "SFTFields")):  # type: ignore[misc]
    """What differs from the task's `sft` where traces are STaR's."""


class SFTOverrides(_optional(SFT, "SFTFields")):  # type: ignore[misc]
    """Supervised fine-tuning of a method: which traces, and what differs from the task's `sft`."""

    traces: Literal["star", "pair"] = Field(
        description="star: the model's own two-turn traces; pair: two of its first attempts, paired"
    )
    transitions: tuple[Transition, ...] = Field(
        min_length=1, description="which traces are kept: D is wrong_right, D+ adds right_right"
    )
    rounds: Count = Field(1, description="rounds of sampling, selecting and fine-tuning")


class Method(Strict):
    """One row of the tables: a model and how it came to be, or a prompt for another's model."""

    label: str = Field(description="name in tables and figures")
    start: Name | None = Field(
        None, description="the method whose model this one starts from; null only for the base"
    )
    variant_of: Name | None = Field(
        None, description="inherit all keys of that method; the keys given here replace its"
    )
    tables: tuple[Literal["main", "ablations"], ...] = Field(
        ("main",), description="tables and figures that show the method"
    )
    instruction: Instruction = Field(
        "correction",
        description="what the model is told after an attempt, in evaluation and in `rl`; the "
        "traces of `sft` are sampled with `correction`",
    )
    sft: SFTOverrides | None = Field(None, description="train by supervised fine-tuning")
    rl: RLOverrides | None = Field(None, description="train by reinforcement learning")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sft and self.rl:
            why = "a method trains by `sft` or by `rl`, not both; chain two methods with `start`"
            raise KeyFaultError("rl", why)
        return self
