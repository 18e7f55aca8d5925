"""The task: its splits, the corpus of its base model, and what is wrong with an attempt."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selfcorrect import prompts, seeds
from selfcorrect.grading.programs import HERE, Workplace
from selfcorrect.records import Problem, Submission
from selfcorrect.spec.precedence import PrecedenceCorpus, PrecedenceProblems
from selfcorrect.tasks.corpus import Writers, write_documents
from selfcorrect.tasks.precedence.operations import CLOSE, FIRST_PRODUCT, Steps, codes, fails
from selfcorrect.tasks.precedence.solvers import (
    hasty_program,
    mistakes,
    repair,
    repair_over_eagerly,
    rewrite_carelessly,
    slip,
)
from selfcorrect.tasks.precedence.wording import (
    PIECES,
    WORDS,
    as_problems,
    program,
    questions,
    read_program,
    start,
    texts,
)
from selfcorrect.tasks.programming import ProgramTask
from selfcorrect.tasks.task import UNREADABLE, Document, Split

PROBLEMS_PER_BLOCK = 10_000


class Precedence(ProgramTask):
    """The task; give it a corpus and it is also a testbed."""

    prompts = prompts.PRECEDENCE

    def __init__(
        self,
        data: PrecedenceProblems,
        corpus: PrecedenceCorpus | None = None,
        workplace: Workplace = HERE,
    ) -> None:
        super().__init__(program, data.sandbox, workplace)
        self.data = data
        self.corpus = corpus

    # --- problems -----------------------------------------------------------------------------

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split: drawn once from ``data.seed``, without repetition."""
        return as_problems(self._splits[split])

    def repairs(self) -> list[tuple[Problem, str]]:
        """The -R split: problems of no other split, each with a hasty writer's wrong attempt."""
        steps = self._splits["repair"]
        return list(zip(as_problems(steps), texts(hasty_program(steps)), strict=True))

    def errors(self, submissions: Sequence[Submission]) -> list[str]:
        """What is wrong with each attempt that has the form of a solver's program."""
        length = 1 + max(self.data.operations)  # a model may write one operation too many
        written = [read_program(of.text, length) for of in submissions]
        read = [of for of, program in zip(submissions, written, strict=True) if program is not None]
        steps = np.zeros((len(read), length), dtype=np.int64)
        for row, of in zip(steps, read, strict=True):
            asked = re.findall(r", \w+ \w+", of.problem.question)
            row[: len(asked)] = [WORDS.index(words) for words in asked]
        programs = np.array([program for program in written if program is not None], dtype=np.int64)
        found = iter(mistakes(steps, programs.reshape(-1, length)))
        return [UNREADABLE if program is None else next(found) for program in written]

    @cached_property
    def _splits(self) -> dict[Split | Literal["repair"], Steps]:
        data = self.data
        held_out = data.test + data.validation
        steps = np.zeros((0, max(data.operations)), dtype=np.int64)
        block = 0
        # Drawn in blocks, so that a larger split changes none of the problems drawn before it.
        # What follows test and validation is read until there are enough that the hasty writer
        # gets wrong, which are the -R split; the training problems come after these.
        while True:
            rng = seeds.generator(data.seed, "precedence", "problems", block)
            steps = np.concatenate([steps, self._draw(rng, PROBLEMS_PER_BLOCK)])
            _, first_seen = np.unique(codes(steps), return_index=True)
            steps, block = steps[np.sort(first_seen)], block + 1
            rest = steps[held_out:]
            wrong = np.flatnonzero(fails(rest, hasty_program(rest)))[: data.repair]
            if len(wrong) == data.repair and len(rest) > wrong[-1] + data.train:
                break
        return {
            "test": steps[: data.test],
            "validation": steps[data.test : held_out],
            "repair": rest[wrong],
            "train": rest[wrong[-1] + 1 :][: data.train],
        }

    def _draw(self, rng: np.random.Generator, count: int) -> Steps:
        """Random problems: where sums and products stand, then which ones (may repeat)."""
        shapes, chances = self._shapes
        shape = shapes[rng.choice(len(shapes), count, p=chances)]
        sums = rng.integers(1, FIRST_PRODUCT, shape.shape)
        products = rng.integers(FIRST_PRODUCT, CLOSE, shape.shape)
        return np.select([shape == "+", shape == "*"], [sums, products], 0)

    @cached_property
    def _shapes(self) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
        """Every order of sums "+" and products "*" [M, K], each with its chance [M].

        The level is drawn first, then the length among those with room for it, then the order.
        Both kinds occur in every problem: without either, no parentheses could matter.
        """
        shapes, chances = [], []
        for level, share in enumerate(self.data.pairs):
            lengths = [length for length in self.data.operations if length >= 2 * level]
            for length in lengths:
                fitting = [
                    shape
                    for shape in product("+*", repeat=length)
                    if len(set(shape)) == 2 and list(pairwise(shape)).count(("+", "*")) == level
                ]
                padding = ("",) * (max(self.data.operations) - length)
                shapes += [shape + padding for shape in fitting]
                chances += [share / len(lengths) / len(fitting)] * len(fitting)
        return np.array(shapes), np.array(chances) / sum(chances)

    # --- corpus -------------------------------------------------------------------------------

    def alphabet(self) -> Sequence[str]:
        """The pieces that questions and attempts are made of."""
        # A revision may add one pair more than any problem needs.
        starts = [start(pairs) for pairs in range(len(self.data.pairs) + 1)]
        return [*starts, "x", *filter(None, WORDS), *filter(None, PIECES)]

    def documents(self, rng: np.random.Generator, count: int) -> Iterator[Document]:
        """Documents of the corpus mixture, about no validation, test or -R problem."""
        corpus = self.corpus
        assert corpus is not None, "a corpus is needed to write documents"
        steps = self._draw_fresh(rng, count)
        writers = Writers(
            questions=questions(steps),
            hasty=hasty_program(steps),
            repair=lambda programs: repair(steps, programs),
            over_eager=lambda programs: repair_over_eagerly(steps, programs),
            careless=lambda programs: rewrite_carelessly(steps, programs, corpus.careless_from),
            slip=slip,
            tell=texts,
        )
        return write_documents(corpus, writers, rng)

    def _draw_fresh(self, rng: np.random.Generator, count: int) -> Steps:
        """Random problems that are neither validation nor test nor -R problems."""
        steps = np.zeros((0, max(self.data.operations)), dtype=np.int64)
        while len(steps) < count:
            more = self._draw(rng, count)
            steps = np.concatenate([steps, more[~np.isin(codes(more), self._held_out)]])
        return steps[:count]

    @cached_property
    def _held_out(self) -> NDArray[np.int64]:
        splits = self._splits
        return codes(np.concatenate([splits["validation"], splits["test"], splits["repair"]]))
