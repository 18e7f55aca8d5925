"""The config sections of the benchmarks in mathematics (`math`, `gsm8k`)."""

from typing import Literal

from pydantic import Field

from selfcorrect.spec.kinds import Count
from selfcorrect.spec.source import Source
from selfcorrect.validation import Strict

MATH_TRAIN, MATH_TEST, MATH_500 = 7500, 5000, 500
MATH_UNUSABLE = 2  # training problems whose box is empty
GSM8K_TRAIN, GSM8K_TEST = 7473, 1319


class MathProblems(Strict):
    """MATH (Hendrycks et al. 2021), split as in the paper: 12,000 problems, and MATH-500."""

    kind: Literal["math"] = Field(description="which task of `selfcorrect.tasks` this is")
    train_rows: Source = Field(description="the 7,500 training problems")
    test_rows: Source = Field(
        description="the 5,000 test problems; those that are not in MATH-500 are trained on"
    )
    math500_rows: Source = Field(description="the 500 problems that are tested on")
    validation: Count = Field(
        le=5000, description="problems of the 12,000 that are held out for tuning"
    )
    seed: int = Field(ge=0, description="draws them; the same for every run seed")

    @property
    def train(self) -> int:
        """Training problems."""
        return MATH_TRAIN + MATH_TEST - MATH_500 - MATH_UNUSABLE - self.validation

    @property
    def test(self) -> int:
        """Test problems."""
        return MATH_500


class GSM8KProblems(Strict):
    """GSM8K (Cobbe et al. 2021): word problems whose answers are numbers."""

    kind: Literal["gsm8k"] = Field(description="which task of `selfcorrect.tasks` this is")
    train_rows: Source = Field(description="the 7,473 training problems")
    test_rows: Source = Field(description="the 1,319 test problems")
    validation: Count = Field(le=5000, description="training problems that are held out for tuning")
    seed: int = Field(ge=0, description="draws them; the same for every run seed")

    @property
    def train(self) -> int:
        """Training problems."""
        return GSM8K_TRAIN - self.validation

    @property
    def test(self) -> int:
        """Test problems."""
        return GSM8K_TEST
