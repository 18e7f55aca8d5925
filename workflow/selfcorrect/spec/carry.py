"""The config sections of the `carry` testbed (`selfcorrect.tasks.carry`)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from selfcorrect.spec.corpus import SolverCorpus
from selfcorrect.spec.kinds import Count, Share
from selfcorrect.validation import KeyFaultError, Strict


class CarryCorpus(SolverCorpus):
    """The documents that the `carry` base model is pretrained on."""

    kind: Literal["carry"] = Field(description="the task that these documents are for")
    careless_from: int = Field(
        ge=0,
        le=9,
        description="the careless reviser errs where the first number's last digit is this or more",
    )


class CarryProblems(Strict):
    """Long addition with carry cascades: the embedded twin of the paper's MATH experiments."""

    kind: Literal["carry"] = Field(description="which task of `selfcorrect.tasks` this is")
    seed: int = Field(ge=0, description="draws the problems; the same for every run seed")
    width: int = Field(ge=2, le=12, description="digits that every number is padded to")
    levels: tuple[Count, ...] = Field(
        min_length=1, description="numbers of digits; a problem's level is drawn among them"
    )
    nine_probability: Share = Field(
        description="chance that a column's digits are made to sum to nine, so that carries cascade"
    )
    train: Count = Field(description="training problems")
    validation: Count = Field(description="validation problems: for tuning, never reported")
    test: Count = Field(description="test problems: what the tables report")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for level in self.levels:
            if level > self.width:
                why = f"level {level} does not fit the width of {self.width} digits"
                raise KeyFaultError("levels", why)
        wanted = self.train + self.validation + self.test
        # Where every column sums to nine, the second number follows from the first.
        nines = self.nine_probability == 1
        there = sum((8 * 10 ** (level - 1)) if nines else 81 * 100 ** (level - 1)
                    for level in set(self.levels))  # fmt: skip
        if wanted > there // 4:
            raise KeyFaultError(
                "train",
                f"with validation and test {wanted} problems are too many for the {there} that "
                f"levels {list(self.levels)} have; use fewer problems or a higher level",
            )
        return self
