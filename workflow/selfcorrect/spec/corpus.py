"""The config section that the corpora of all testbeds share.

What a hasty solver or an over-eager reviser does is each testbed's own (`selfcorrect.tasks`).
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from selfcorrect.spec.kinds import Mixture, Share, sums_to_one
from selfcorrect.validation import Strict


class Revisions(Mixture):
    """Who writes a revision of an attempt; shares that sum to 1."""

    copied: Share = Field(description="copies the attempt")
    repair: Share = Field(description="makes one repair step")
    over_eager: Share = Field(description="makes a repair step that can also do harm")
    careless: Share = Field(description="copies the attempt, but errs on some problems")


class SolverCorpus(Strict):
    """The documents that a testbed's tiny base model is pretrained on."""

    kind: str = Field(description="the task that these documents are for")
    single: Share = Field(description="share of documents with one attempt")
    longer: Share = Field(
        description="share of the other documents that go on to `max_attempts` attempts"
    )
    max_attempts: int = Field(ge=3, le=8, description="attempts in such a longer document")
    refined: Share = Field(
        description="share of the documents with revisions that use the refinement instruction"
    )
    slip: Share = Field(
        description="share of first attempts, where a revision follows, with one thing wrong at "
        "random"
    )
    first: Annotated[tuple[Share, ...], AfterValidator(sums_to_one)] = Field(
        min_length=1,
        description="shares of first attempts that are the hasty solver's after 0, 1, 2 ... repair "
        "steps; they sum to 1",
    )
    revise: Revisions = Field(description="mixture of revisions after the correction instruction")
    refine: Revisions = Field(description="mixture of revisions after the refinement instruction")
