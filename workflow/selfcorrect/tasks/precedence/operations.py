"""Problems and programs as numbers: what they ask for, what they return, whether they agree.

Problems and programs are arrays of operations, each a number: 0 is none, 1-9 add, 10-18 subtract,
19-26 multiply by 2-9. A problem is a row of ``steps`` [N, K]: its operations in order, then zeros.
A program is a row of ``programs`` [N, K]: the operations as they are written, with ``CLOSE`` added
to each that a pair closes before.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfcorrect.spec.precedence import FACTORS, SUMMANDS

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

# The values of x that programs are tested at. A program that uses x once, as every solver's does,
# is an affine function of x, and two of those that agree at two points are the same: no wrong one
# passes. With five points no other polynomial up to the fourth degree passes either.
POINTS = np.array([0, 1, 2, 10, -3])


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
