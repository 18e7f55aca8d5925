"""The `carry` testbed: long addition in which carries cascade through columns that sum to nine.

Two numbers of n digits (n is the level), zero-padded to a fixed width W, are added; the answer
has W + 1 digits, most significant first. The corpus is written by solvers of different care, so
that a model pretrained on it makes systematic mistakes at its first attempt, holds the knowledge
to repair them, and mostly does not use it.

All arithmetic is vectorised over N problems. Digits are stored least significant first: ``a`` and
``b`` are [N, W], sums and attempts [N, W + 1].
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selfcorrect import prompts, seeds
from selfcorrect.grading import digits
from selfcorrect.records import Grade, Problem, Submission
from selfcorrect.spec.carry import CarryCorpus, CarryProblems
from selfcorrect.tasks.corpus import Writers, write_documents
from selfcorrect.tasks.task import NO_ERROR, OTHER_ERROR, UNREADABLE, Document, Split

Digits = NDArray[np.int64]

PROBLEMS_PER_BLOCK = 10_000


class Carry:
    """The task; give it a corpus and it is also a testbed."""

    prompts = prompts.CARRY
    grader = digits.VERSION

    def __init__(self, data: CarryProblems, corpus: CarryCorpus | None = None) -> None:
        self.data = data
        self.corpus = corpus

    # --- problems -----------------------------------------------------------------------------

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split: drawn once from ``data.seed``, without repetition."""
        a, b = self._splits[split]
        levels = self._levels_of(a, b)
        answers = text(exact_sum(a, b))
        return [
            Problem(f"{left}+{right}", f"{left}+{right}", answer, str(level))
            for left, right, answer, level in zip(text(a), text(b), answers, levels, strict=True)
        ]

    def repairs(self) -> Sequence[tuple[Problem, str]]:
        """None."""
        return []

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """Right if the digits are the sum's, leading zeros included."""
        return [digits.grade(text, of.answer, truncated) for of, text, truncated in submissions]

    def errors(self, submissions: Sequence[Submission]) -> list[str]:
        """What is wrong with each attempt: whose mistake it is, or that it is no one's."""
        said = [of.text.strip() for of in submissions]  # as they are graded
        readable = [len(text) == self.data.width + 1 and text.isascii() and text.isdecimal()
                    for text in said]  # fmt: skip
        read = [of for of, fine in zip(submissions, readable, strict=True) if fine]
        numbers = [of.problem.question.split("+") for of in read]
        a, b = (digits_of([pair[side] for pair in numbers], self.data.width) for side in (0, 1))
        attempts = digits_of([of.text.strip() for of in read], self.data.width + 1)
        found = iter(mistakes(a, b, attempts))
        return [next(found) if fine else UNREADABLE for fine in readable]

    @cached_property
    def _splits(self) -> dict[Split, tuple[Digits, Digits]]:
        sizes: dict[Split, int] = {
            "test": self.data.test,
            "validation": self.data.validation,
            "train": self.data.train,
        }
        wanted = sum(sizes.values())
        # Drawn in blocks, so that a larger split changes none of the problems drawn before it.
        a, b = np.zeros((2, 0, self.data.width), dtype=np.int64)
        keep = np.zeros(0, dtype=np.int64)
        block = 0
        while len(keep) < wanted:
            rng = seeds.generator(self.data.seed, "carry", "problems", block)
            more_a, more_b = self._draw(rng, PROBLEMS_PER_BLOCK)
            a, b = np.concatenate([a, more_a]), np.concatenate([b, more_b])
            _, first = np.unique(self._codes(a, b), return_index=True)
            keep, block = np.sort(first)[:wanted], block + 1
        bounds = np.cumsum(list(sizes.values()))[:-1]
        parts = np.split(keep, bounds)
        return {split: (a[part], b[part]) for split, part in zip(sizes, parts, strict=True)}

    def _draw(self, rng: np.random.Generator, count: int) -> tuple[Digits, Digits]:
        """Random problems: the level first, then column by column (may repeat)."""
        width, shape = self.data.width, (count, self.data.width)
        level = rng.choice(np.array(self.data.levels), count)
        leading = np.arange(width) == level[:, None] - 1
        nine = rng.random(shape) < self.data.nine_probability
        a, b = rng.integers(0, 10, shape), rng.integers(0, 10, shape)
        # A leading digit is not zero, in either number: in a nine-column a is 1 ... 8.
        a = np.where(
            leading, np.where(nine, rng.integers(1, 9, shape), rng.integers(1, 10, shape)), a
        )
        b = np.where(nine, 9 - a, np.where(leading, rng.integers(1, 10, shape), b))
        used = np.arange(width) < level[:, None]
        return a * used, b * used

    def _codes(self, a: Digits, b: Digits) -> NDArray[np.object_] | Digits:
        """One number per problem, for telling problems apart (exact up to 9 digits each)."""
        powers = 10 ** np.arange(self.data.width)
        if self.data.width <= 9:
            return (a @ powers) * 10**self.data.width + b @ powers
        return np.array([f"{x}+{y}" for x, y in zip(a @ powers, b @ powers, strict=True)])

    def _levels_of(self, a: Digits, b: Digits) -> Digits:
        return self.data.width - np.argmax((a > 0)[:, ::-1], axis=1)

    # --- corpus -------------------------------------------------------------------------------

    def alphabet(self) -> Sequence[str]:
        """The pieces that questions and attempts are made of."""
        return [*"0123456789", "+"]

    def documents(self, rng: np.random.Generator, count: int) -> Iterator[Document]:
        """Documents of the corpus mixture, about problems of neither validation nor test."""
        corpus = self.corpus
        assert corpus is not None, "a corpus is needed to write documents"
        a, b = self._draw_fresh(rng, count)
        writers = Writers(
            questions=[f"{x}+{y}" for x, y in zip(text(a), text(b), strict=True)],
            hasty=hasty_sum(a, b),
            repair=lambda attempts: repair(a, b, attempts),
            over_eager=lambda attempts: repair_over_eagerly(a, b, attempts),
            careless=lambda attempts: rewrite_carelessly(a, b, attempts, corpus.careless_from),
            slip=slip,
            tell=text,
        )
        return write_documents(corpus, writers, rng)

    def _draw_fresh(self, rng: np.random.Generator, count: int) -> tuple[Digits, Digits]:
        """Random problems that are neither validation nor test problems."""
        a, b = np.zeros((2, 0, self.data.width), dtype=np.int64)
        while len(a) < count:
            more_a, more_b = self._draw(rng, count)
            fresh = ~np.isin(self._codes(more_a, more_b), self._held_out)
            a, b = np.concatenate([a, more_a[fresh]]), np.concatenate([b, more_b[fresh]])
        return a[:count], b[:count]

    @cached_property
    def _held_out(self) -> NDArray[np.object_] | Digits:
        return np.concatenate(
            [self._codes(*self._splits["validation"]), self._codes(*self._splits["test"])]
        )


# --- solvers ----------------------------------------------------------------------------------


def column_sums(a: Digits, b: Digits) -> Digits:
    """The two digits of each column added, and an empty column for the last carry: [N, W + 1]."""
    return np.pad(a + b, ((0, 0), (0, 1)))


def with_carries(sums: Digits, out: NDArray[np.bool_]) -> Digits:
    """The digits written if each column with ``out`` passes a carry to the next: [N, W + 1]."""
    into = np.zeros_like(sums)
    into[:, 1:] = out[:, :-1]
    return (sums + into) % 10


def exact_sum(a: Digits, b: Digits) -> Digits:
    """The right answer."""
    sums = column_sums(a, b)
    out = np.zeros(sums.shape, dtype=bool)
    carry = np.zeros(len(a), dtype=np.int64)
    for column in range(sums.shape[1]):
        out[:, column] = sums[:, column] + carry >= 10
        carry = out[:, column].astype(np.int64)
    return with_carries(sums, out)


def hasty_sum(a: Digits, b: Digits) -> Digits:
    """A column passes a carry on only if its own two digits reach ten: cascades are lost."""
    sums = column_sums(a, b)
    return with_carries(sums, sums >= 10)


def carries_written(sums: Digits, attempt: Digits) -> Digits:
    """The carry that each column of an attempt took in, as it can be read off its digit."""
    return ((attempt - sums) % 10 == 1).astype(np.int64)


def repair(a: Digits, b: Digits, attempt: Digits) -> Digits:
    """Propagate the carries written in an attempt one column further; never harms a right sum."""
    sums = column_sums(a, b)
    return with_carries(sums, sums + carries_written(sums, attempt) >= 10)


def repair_over_eagerly(a: Digits, b: Digits, attempt: Digits) -> Digits:
    """A repair step that believes the most significant nine-column always passes a carry on."""
    sums = column_sums(a, b)
    nine = sums == 9
    leading = nine & (np.cumsum(nine[:, ::-1], axis=1)[:, ::-1] == 1)
    return with_carries(sums, leading | (sums + carries_written(sums, attempt) >= 10))


def rewrite_carelessly(a: Digits, b: Digits, attempt: Digits, careless_from: int) -> Digits:
    """Copy an attempt, dropping the carry into the tens if the first number's units are high."""
    tens = (a + b)[:, 1] % 10
    errs = (a[:, 0] >= careless_from) & (a[:, 0] + b[:, 0] >= 10)
    rewritten = attempt.copy()
    rewritten[:, 1] = np.where(errs, tens, attempt[:, 1])
    return rewritten


def slip(attempt: Digits, rng: np.random.Generator) -> Digits:
    """One digit of each attempt replaced by another."""
    rows = np.arange(len(attempt))
    column = rng.integers(0, attempt.shape[1], len(attempt))
    slipped = attempt.copy()
    slipped[rows, column] = (slipped[rows, column] + rng.integers(1, 10, len(attempt))) % 10
    return slipped


def mistakes(a: Digits, b: Digits, attempts: Digits) -> list[str]:
    """The kind of mistake in each attempt, the first that fits.

    A careless rewriting or an over-eager step may follow on any number of repair steps.
    """
    exact = exact_sum(a, b)
    partial = [hasty_sum(a, b)]
    for _ in range(a.shape[1]):
        partial.append(repair(a, b, partial[-1]))
    over_eager = [repair_over_eagerly(a, b, stage) for stage in (*partial, exact)]
    careless = [rewrite_carelessly(a, b, stage, 0) for stage in (*partial, *over_eager, exact)]
    kinds = {
        NO_ERROR: [exact],
        "carries lost at once": partial[:1],
        "carries lost further on": partial[1:],
        "carry made up": over_eager,
        "carry into the tens dropped": careless,
    }
    found = np.full(len(attempts), OTHER_ERROR, dtype=object)
    found[(attempts != exact).sum(axis=1) == 1] = "one digit wrong"
    for kind, written in reversed(kinds.items()):
        for one in written:
            found[(attempts == one).all(axis=1)] = kind
    kinds_found: list[str] = found.tolist()
    return kinds_found


def digits_of(texts: Sequence[str], width: int) -> Digits:
    """Numbers of ``width`` digits from text; the inverse of ``text``."""
    joined = np.frombuffer("".join(texts).encode(), dtype=np.uint8).astype(np.int64) - ord("0")
    return joined.reshape(len(texts), width)[:, ::-1]


def text(numbers: Digits) -> list[str]:
    """Digit arrays as text, most significant digit first."""
    letters = np.ascontiguousarray(numbers[:, ::-1]).astype("<U1")
    joined: list[str] = letters.view(f"<U{numbers.shape[1]}").ravel().tolist()
    return joined
