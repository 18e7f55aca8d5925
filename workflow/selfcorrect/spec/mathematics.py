"""The config sections of the benchmarks in mathematics (`math`, `gsm8k`)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from selfcorrect.spec.kinds import Count, Sha256
from selfcorrect.validation import KeyFaultError, Strict

MATH_TRAIN, MATH_TEST, MATH_500 = 7500, 5000, 500
MATH_UNUSABLE = 2  # training problems whose box is empty
GSM8K_TRAIN, GSM8K_TEST = 7473, 1319


class Source(Strict):
    """Where the rows of one part of a benchmark come from: a file, or a dataset on the Hub."""

    path: str | None = Field(None, min_length=1, description="a file of JSON lines; or give `hub`")
    sha256: Sha256 | None = Field(None, description="checksum that the file must have; null: any")
    hub: str | None = Field(
        None, min_length=1, description="name of a dataset on the Hugging Face Hub; or give `path`"
    )
    subsets: tuple[str, ...] = Field(
        (), description="its subsets, one after the other; none: the dataset has none"
    )
    split: str | None = Field(None, min_length=1, description="its split")
    revision: str | None = Field(None, description="its commit or tag; null: the newest")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise KeyFaultError("path", "give either `path` or `hub`")
        if self.hub is not None and self.split is None:
            raise KeyFaultError("split", "needed with `hub`")
        if self.hub is not None and self.sha256 is not None:
            raise KeyFaultError("sha256", "is of a file; of a dataset on the Hub fix `revision`")
        return self

    def __str__(self) -> str:
        return str(self.path or f"{self.hub} on the Hub, split {self.split}")


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
