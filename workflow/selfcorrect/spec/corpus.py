"""The config section that the corpora of all testbeds share.

What a hasty solver or an over-eager reviser does is each testbed's own (`selfcorrect.tasks`).
"""

from pydantic import Field

from selfcorrect.spec.kinds import Mixture, Share
from selfcorrect.validation import Strict


class FirstAttempts(Mixture):
    """Who writes the first attempts; shares that sum to 1."""

    hasty: Share = Field(description="the hasty solver")
    repaired: Share = Field(description="the hasty solver followed by one repair step")


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
    first: FirstAttempts = Field(description="mixture of first attempts")
    revise: Revisions = Field(description="mixture of revisions after the correction instruction")
    refine: Revisions = Field(description="mixture of revisions after the refinement instruction")
