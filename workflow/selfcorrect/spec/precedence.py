"""The config sections of the `precedence` testbed (`selfcorrect.tasks.precedence`)."""

from math import comb
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from selfcorrect.spec.corpus import SolverCorpus
from selfcorrect.spec.kinds import Count, Share, sums_to_one
from selfcorrect.spec.sandbox import SandboxLimits
from selfcorrect.validation import KeyFaultError, Strict

SUMMANDS = range(1, 10)  # what a problem adds or subtracts
FACTORS = range(2, 10)  # what it multiplies by; a pair of parentheses before * 1 changes nothing


class PrecedenceCorpus(SolverCorpus):
    """The documents that the `precedence` base model is pretrained on."""

    kind: Literal["precedence"] = Field(description="the task that these documents are for")
    careless_from: int = Field(
        ge=1,
        le=9,
        description="the careless reviser errs where the problem's first constant is this or more",
    )


class PrecedenceProblems(Strict):
    """Arithmetic functions in Python: the embedded twin of the paper's coding experiments."""

    kind: Literal["precedence"] = Field(description="which task of `selfcorrect.tasks` this is")
    seed: int = Field(ge=0, description="draws the problems; the same for every run seed")
    operations: tuple[Annotated[int, Field(ge=2, le=12)], ...] = Field(
        min_length=1,
        description="numbers of operations; a problem's is drawn among those that have room for "
        "its pairs of parentheses",
    )
    pairs: Annotated[tuple[Share, ...], AfterValidator(sums_to_one)] = Field(
        min_length=1,
        description="shares of problems that need 0, 1, 2 ... pairs of parentheses; they sum to 1",
    )
    train: Count = Field(description="training problems")
    validation: Count = Field(description="validation problems: for tuning, never reported")
    test: Count = Field(description="test problems: what the tables report")
    repair: Count = Field(description="problems with a hasty writer's wrong program to repair")
    sandbox: SandboxLimits = Field(description="bounds of one execution")

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = sum(self.pairs[1:])  # the share that a hasty writer gets wrong
        if wrong == 0:
            why = "where no problem needs parentheses, no hasty program is there to repair"
            raise KeyFaultError("pairs", why)
        most = max(level for level, share in enumerate(self.pairs) if share > 0)
        if 2 * most > max(self.operations):
            raise KeyFaultError(
                "pairs",
                f"{most} pairs of parentheses take at least {2 * most} operations, and the longest "
                f"chain has {max(self.operations)}",
            )
        # The programs to repair are looked for among problems of every level.
        wanted = self.train + self.validation + self.test + self.repair / wrong
        for level, share in enumerate(self.pairs):
            there = sum(problems_with(length, level) for length in set(self.operations))
            if share * wanted > there / 4:
                raise KeyFaultError(
                    "train",
                    f"with the other splits {share * wanted:.0f} problems with {level} pairs of "
                    f"parentheses are too many for the {there} that chains of "
                    f"{list(self.operations)} operations have; use fewer problems or longer chains",
                )
        return self


def problems_with(length: int, pairs: int) -> int:
    """How many chains of ``length`` operations, sums and products both, need ``pairs`` pairs.

    A pair is needed where a product follows a sum: the m products form one group behind every
    pair and one at the start that may be empty, in C(m, pairs) ways; likewise the sums.
    """
    return sum(
        comb(products, pairs) * comb(length - products, pairs)
        * len(FACTORS) ** products * (2 * len(SUMMANDS)) ** (length - products)
        for products in range(1, length)
    )  # fmt: skip
