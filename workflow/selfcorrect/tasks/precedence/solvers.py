"""Solvers of different care, who write the corpus, and the kinds of mistakes in a program."""

import numpy as np

from selfcorrect.tasks.precedence.operations import (
    CLOSE,
    CONSTANT,
    Flags,
    Programs,
    Steps,
    closings,
    fails,
    is_product,
    is_sum,
    needed,
    only_first,
    only_last,
)
from selfcorrect.tasks.task import NO_ERROR, OTHER_ERROR


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
