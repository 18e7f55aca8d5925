"""How the documents of a testbed's corpus are put together, whoever writes the attempts.

A testbed brings its problems and its solvers (`Writers`); who writes which attempt is drawn here,
by the shares that the config gives. Attempts are arrays, a row for each document.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfcorrect.spec.corpus import Revisions, SolverCorpus
from selfcorrect.tasks.task import Document

Attempts = NDArray[np.int64]  # [N, ...]


@dataclass(frozen=True)
class Writers:
    """A testbed's questions [N] and those who answer them.

    ``hasty``: the hasty solver's attempts. ``repair``, ``over_eager``, ``careless``: revise
    attempts. ``slip``: makes one random mistake in each. ``tell``: attempts as text.
    """

    questions: Sequence[str]
    hasty: Attempts
    repair: Callable[[Attempts], Attempts]
    over_eager: Callable[[Attempts], Attempts]
    careless: Callable[[Attempts], Attempts]
    slip: Callable[[Attempts, np.random.Generator], Attempts]
    tell: Callable[[Attempts], list[str]]


def write_documents(
    corpus: SolverCorpus, writers: Writers, rng: np.random.Generator
) -> Iterator[Document]:
    """A document about each question, by the mixture of ``corpus``."""
    count = len(writers.questions)
    several = rng.random(count) >= corpus.single
    longer = several & (rng.random(count) < corpus.longer)
    attempts = np.where(longer, corpus.max_attempts, np.where(several, 2, 1))
    refined = several & (rng.random(count) < corpus.refined)

    first, drawn = writers.hasty, rng.random(count)[:, None]
    for repairs in range(1, len(corpus.first)):
        first = np.where(drawn < sum(corpus.first[repairs:]), writers.repair(first), first)
    slips = several & (rng.random(count) < corpus.slip)
    first = np.where(slips[:, None], writers.slip(first, rng), first)

    turns = [first]
    for _ in range(corpus.max_attempts - 1):
        corrected = _revised(turns[-1], corpus.revise, writers, rng)
        refinement = _revised(turns[-1], corpus.refine, writers, rng)
        turns.append(np.where(refined[:, None], refinement, corrected))

    told = [writers.tell(turn) for turn in turns]
    for i, question in enumerate(writers.questions):
        yield Document(
            question=question,
            attempts=tuple(turn[i] for turn in told[: attempts[i]]),
            instruction="refinement" if refined[i] else "correction",
        )


def _revised(
    attempts: Attempts, mixture: Revisions, writers: Writers, rng: np.random.Generator
) -> Attempts:
    """Each attempt rewritten by one of the mixture's revisers."""
    revised = [
        attempts,
        writers.repair(attempts),
        writers.over_eager(attempts),
        writers.careless(attempts),
    ]
    shares = [mixture.copied, mixture.repair, mixture.over_eager, mixture.careless]
    who = rng.choice(len(revised), size=len(attempts), p=np.array(shares) / sum(shares))
    return np.stack(revised)[who, np.arange(len(attempts))]
