"""The `precedence` testbed: arithmetic functions in Python that need parentheses.

"Take x, plus five, times three, minus two." is to become ``return (x+5)*3-2``. The operations
apply from left to right, so every pair of parentheses opens at the start, and one is needed
exactly where a product follows a sum; a problem's level is how many it needs. Problems have the
shape of HumanEval's: the model is shown the docstring of a function and writes its body. As in
`carry`, solvers of different care write the corpus.

Problems and programs are arrays of operations, each a number: 0 is none, 1-9 add, 10-18 subtract,
19-26 multiply by 2-9. A problem is a row of ``steps`` [N, K]: its operations in order, then zeros.
A program is a row of ``programs`` [N, K]: the operations as they are written, with ``CLOSE`` added
to each that a pair closes before.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise, product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfcorrect import prompts, seeds
from selfcorrect.grading.programs import HERE, Workplace
from selfcorrect.records import Problem, ProgramTests, Submission
from selfcorrect.spec.precedence import (
    FACTORS,
    SUMMANDS,
    PrecedenceCorpus,
    PrecedenceProblems,
)
from selfcorrect.tasks.corpus import Writers, write_documents
from selfcorrect.tasks.programming import ProgramTask
from selfcorrect.tasks.task import NO_ERROR, OTHER_ERROR, UNREADABLE, Document, Split

Steps = NDArray[np.int64]
Programs = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Operation(NamedTuple):
    """What an operation is in a question and in a program, and what it makes of a value."""

    words: str
    symbols: str
    constant: int
    factor: int
    summand: int


# Numbers are words in a question: a digit would take a token more, for the space before it.
NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OPERATIONS = [
    Operation("", "", constant=0, factor=1, summand=0),
    *(Operation(f", plus {NUMBERS[c]}", f"+{c}", c, factor=1, summand=c) for c in SUMMANDS),
    *(Operation(f", minus {NUMBERS[c]}", f"-{c}", c, factor=1, summand=-c) for c in SUMMANDS),
    *(Operation(f", times {NUMBERS[c]}", f"*{c}", c, factor=c, summand=0) for c in FACTORS),
]
CONSTANT = np.array([operation.constant for operation in OPERATIONS])
FACTOR = np.array([operation.factor for operation in OPERATIONS])
SUMMAND = np.array([operation.summand for operation in OPERATIONS])
FIRST_PRODUCT = 1 + 2 * len(SUMMANDS)
CLOSE = len(OPERATIONS)

WORDS = [operation.words for operation in OPERATIONS]  # by step
PIECES = [close + operation.symbols for close in ("", ")") for operation in OPERATIONS]  # by entry

# The values of x that programs are tested at. A program that uses x once, as every solver's does,
# is an affine function of x, and two of those that agree at two points are the same: no wrong one
# passes. With five points no other polynomial up to the fourth degree passes either.
POINTS = np.array([0, 1, 2, 10, -3])
ENTRY_POINT = "f"
CALL = f"\ncheck({ENTRY_POINT})\n"
INDENT = "    "

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


# --- solvers ----------------------------------------------------------------------------------


def exact_program(steps: Steps) -> Programs:
    """The right program in the fewest parentheses."""
    return steps + CLOSE * needed(steps)


def hasty_program(steps: Steps) -> Programs:
    """The operations in order, without parentheses."""
    return steps


def repair(steps: Steps, programs: Programs) -> Programs:
    """Write the problem's operations with the needed pairs of a program and the next missing one.

    That is the innermost. The exact program stays as it is, and any other becomes it after as many
    repairs as pairs are missing, or after one where none is.
    """
    kept = closings(programs) & needed(steps)
    return steps + CLOSE * (kept | only_first(needed(steps) & ~kept))


def repair_over_eagerly(steps: Steps, programs: Programs) -> Programs:
    """A repair step by one who believes that one more pair of parentheses never hurts.

    Where none is missing, it goes around a sum that belongs behind a product: x*3+5 becomes
    (x+5)*3. Both revisions add one pair and give the exact program of some question, so only
    comparing it with the question tells the harmful one from the repair.
    """
    repaired = repair(steps, programs)
    content = (repaired == programs).all(axis=1, keepdims=True)
    return np.where(content, exact_program(with_sum_first(steps)), repaired)


def with_sum_first(steps: Steps) -> Steps:
    """Exchange the first product with the sum behind it that then need one pair more, if any."""
    pairs = np.pad(needed(steps), ((0, 0), (0, 1)))
    # A pair right before the product or right behind the sum would be lost by the exchange.
    product_here = is_product(steps)[:, :-1] & ~pairs[:, :-2]
    sum_behind = is_sum(steps)[:, 1:] & ~pairs[:, 2:]
    here = only_first(product_here & sum_behind)
    exchanged = steps.copy()
    exchanged[:, :-1][here] = steps[:, 1:][here]
    exchanged[:, 1:][here] = steps[:, :-1][here]
    return exchanged


def rewrite_carelessly(steps: Steps, programs: Programs, careless_from: int) -> Programs:
    """Copy a program, but lose a part of it if the problem's first constant is high.

    What is lost is the outermost pair of parentheses or, where there is none, the last operation.
    """
    errs = CONSTANT[steps[:, :1]] >= careless_from
    pairs = closings(programs)
    without_pair = programs - CLOSE * only_last(pairs)
    without_operation = np.where(only_last(programs > 0), 0, programs)
    worse = np.where(pairs.any(axis=1, keepdims=True), without_pair, without_operation)
    return np.where(errs, worse, programs)


def slip(programs: Programs, rng: np.random.Generator) -> Programs:
    """One operation of each program replaced by another."""
    rows = np.arange(len(programs))
    column = rng.integers(0, (programs > 0).sum(axis=1))
    before = programs[rows, column] % CLOSE
    after = 1 + (before - 1 + rng.integers(1, CLOSE - 1, len(programs))) % (CLOSE - 1)
    slipped = programs.copy()
    slipped[rows, column] += after - before
    return slipped


def mistakes(steps: Steps, programs: Programs) -> list[str]:
    """The kind of mistake in each program, the first that fits."""
    written = programs % CLOSE
    same = written == steps
    operations = np.sort(written, axis=1) == np.sort(steps, axis=1)
    superfluous = closings(programs) & ~needed(steps)
    kinds = {
        NO_ERROR: ~fails(steps, programs),
        "parentheses missing": same.all(axis=1) & ~superfluous.any(axis=1),
        "parentheses misplaced": same.all(axis=1),
        "operations in another order": operations.all(axis=1),
        "operation lost": is_part(written, steps),
        "operation replaced": (~same).sum(axis=1) == 1,
    }
    found = np.full(len(steps), OTHER_ERROR, dtype=object)
    for kind, fits in reversed(kinds.items()):
        found[fits] = kind
    kinds_found: list[str] = found.tolist()
    return kinds_found


def is_part(shorter: Steps, longer: Steps) -> Flags:
    """Where the operations of one are some of the other's, in their order, and fewer. [N]"""
    at = np.zeros(len(shorter), dtype=np.int64)  # how many were met
    padded = np.pad(shorter, ((0, 0), (0, 1)))
    for column in longer.T:
        met = padded[np.arange(len(shorter)), at]
        at += (met == column) & (met > 0)
    count = (shorter > 0).sum(axis=1)
    return (at == count) & (count < (longer > 0).sum(axis=1))


# --- problems and programs as numbers ---------------------------------------------------------


def is_product(steps: Steps) -> Flags:
    """Which operations multiply."""
    return steps >= FIRST_PRODUCT


def is_sum(steps: Steps) -> Flags:
    """Which operations add or subtract."""
    return (steps > 0) & (steps < FIRST_PRODUCT)


def needed(steps: Steps) -> Flags:
    """Before which operations a pair must close: the products that follow a sum. [N, K]"""
    flags = np.zeros(steps.shape, dtype=bool)
    flags[:, 1:] = is_sum(steps)[:, :-1] & is_product(steps)[:, 1:]
    return flags


def closings(programs: Programs) -> Flags:
    """Before which operations a pair closes. [N, K]"""
    return programs >= CLOSE


def only_first(flags: Flags) -> Flags:
    """The first flag of every row, alone."""
    return flags & (np.cumsum(flags, axis=1) == 1)


def only_last(flags: Flags) -> Flags:
    """The last flag of every row, alone."""
    return only_first(flags[:, ::-1])[:, ::-1]


def codes(steps: Steps) -> NDArray[np.int64]:
    """One number per problem, for telling problems apart. [N]"""
    return steps @ CLOSE ** np.arange(steps.shape[1])


def applied(steps: Steps, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the operations make of each x [P], one after the other: [N, P]."""
    value = np.tile(x, (len(steps), 1))
    for step in steps.T[:, :, None]:
        value = value * FACTOR[step] + SUMMAND[step]
    return value


def returned(programs: Programs, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the programs return for each x [P], by Python's precedence: [N, P]."""
    terms = np.zeros((len(programs), len(x)), dtype=np.int64)  # the sum of all but the last term
    term = np.tile(x, (len(programs), 1))
    for written in programs.T[:, :, None]:
        step = written % CLOSE
        term = np.where(closings(written), terms + term, term)
        terms = np.where(closings(written), 0, terms)
        terms = np.where(is_sum(step), terms + term, terms)
        term = np.where(is_sum(step), SUMMAND[step], term * FACTOR[step])
    return terms + term


def fails(steps: Steps, programs: Programs) -> Flags:
    """Which programs fail their problem's tests. [N]"""
    return (returned(programs, POINTS) != applied(steps, POINTS)).any(axis=1)


# --- problems and programs as text ------------------------------------------------------------


def questions(steps: Steps) -> list[str]:
    """Problems in words: x, plus five, times three."""
    return ["x" + "".join(map(WORDS.__getitem__, row)) for row in steps.tolist()]


def texts(programs: Programs) -> list[str]:
    """Programs as a model writes them: return (x+5)*3."""
    opened = closings(programs).sum(axis=1).tolist()
    return [
        start(pairs) + "".join(map(PIECES.__getitem__, row))
        for pairs, row in zip(opened, programs.tolist(), strict=True)
    ]


def read_program(text: str, length: int) -> list[int] | None:
    """The program that a text is, in ``length`` entries; None where it has another form."""
    form = re.fullmatch(r"return (\(*)x((?:\)?[-+*][1-9])*)", text.strip())
    if form is None:
        return None
    written = re.findall(r"\)?[-+*][1-9]", form[2])
    if len(written) > length or not set(written) <= set(PIECES):
        return None
    program = [PIECES.index(piece) for piece in written]
    if form[1].count("(") != sum(entry >= CLOSE for entry in program):
        return None
    return program + [0] * (length - len(program))


def start(pairs: int) -> str:
    """How a program with so many pairs of parentheses begins: all of them open there."""
    return f"return {'(' * pairs}x"


def as_problems(steps: Steps) -> list[Problem]:
    """The records; a problem's id is its operations in order."""
    return [
        Problem(
            id="x" + "".join(map(PIECES.__getitem__, row)),
            question=question,
            answer=answer,
            level=str(level),
            tests=ProgramTests(ENTRY_POINT, _check(values) + CALL),
        )
        for row, question, answer, level, values in zip(
            steps.tolist(),
            questions(steps),
            texts(exact_program(steps)),
            needed(steps).sum(axis=1).tolist(),
            applied(steps, POINTS).tolist(),
            strict=True,
        )
    ]


def _check(values: Sequence[int]) -> str:
    """The function that asserts a candidate's ``values`` at the test points."""
    asserts = [
        f"{INDENT}assert candidate({x}) == {value}\n"
        for x, value in zip(POINTS.tolist(), values, strict=True)
    ]
    return "def check(candidate):\n" + "".join(asserts)


def humaneval_record(problem: Problem) -> dict[str, str]:
    """A problem as one line of HumanEval's file: prompt + canonical_solution + test + the call."""
    assert problem.tests is not None
    return {
        "task_id": problem.id,
        "prompt": _prompt(problem),
        "entry_point": problem.tests.entry_point,
        "canonical_solution": _body(problem.answer),
        "test": problem.tests.code.removesuffix(CALL),
    }


def program(problem: Problem, text: str) -> str:
    """The whole program that an attempt's text, the body however indented, completes."""
    return _prompt(problem) + _body(text)


def _prompt(problem: Problem) -> str:
    docstring = prompts.PRECEDENCE.opening(problem.question)
    return f'def {ENTRY_POINT}(x):\n{INDENT}"""{docstring}"""\n'


def _body(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text), INDENT) + "\n"
