"""The texts a model is shown, by task and versioned: a changed text is a new version.

``first`` wraps the question of a problem; ``correction`` is the paper's fixed self-correction
instruction p1, the same for every problem and whatever the attempt was; ``refinement`` is
Self-Refine's (its text is not printed in the paper).
"""

from dataclasses import dataclass
from typing import Literal

Instruction = Literal["correction", "refinement"]


@dataclass(frozen=True)
class Prompts:
    """The texts of one task."""

    version: str
    first: str
    correction: str
    refinement: str

    def opening(self, question: str) -> str:
        """The first user message."""
        return self.first.format(question=question)

    def instruction(self, kind: Instruction) -> str:
        """The user message after an attempt."""
        return self.correction if kind == "correction" else self.refinement


# Short on purpose: every word is a token, and tokens are what the default run's time goes into.
CARRY = Prompts(
    version="carry/1",
    first="What is {question}?",
    correction="Correct any error.",
    refinement="Review and refine.",
)

# The question is the docstring of the function whose body the model writes.
PRECEDENCE = Prompts(
    version="precedence/1",
    first="Take {question}.",
    correction="Fix any bug.",
    refinement="Review and refine.",
)
