"""Which traces STaR and Pair-SFT learn from, on hand-made ones."""

import subprocess
import sys

import numpy as np
import pytest

from selfcorrect.learning.traces import chosen, pair, star
from selfcorrect.records import Trace, Verdict
from tiny import EOS, attempt, trace

RIGHT, WRONG, UNPARSED, CUT = Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSED, Verdict.TRUNCATED
BRIDGE = [7, 2]  # what is read after an attempt that ended; one that was cut reads an EOS first


def sampled(problem: str, sample: int, *verdicts: Verdict) -> tuple[Trace, list[Verdict]]:
    """A two-turn trace whose tokens and text tell it from all others."""
    first, second = (
        [3 + sample, 10 * turn + sample] + ([] if verdict is CUT else [EOS])
        for turn, verdict in enumerate(verdicts)
    )
    between = [EOS, *BRIDGE] if verdicts[0] is CUT else BRIDGE
    made = trace(
        problem,
        attempt(first, prompt=[4, 4], text=f"{problem}{sample}.1"),
        attempt(second, prompt=between, text=f"{problem}{sample}.2"),
        sample=sample,
    )
    return made, list(verdicts)


def split(items):
    return [item[0] for item in items], [item[1] for item in items]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# --- STaR ---------------------------------------------------------------------------------------


def test_star_keeps_what_ends_right_by_where_it_began():
    items = [
        sampled("p", 0, WRONG, RIGHT),
        sampled("p", 1, RIGHT, RIGHT),
        sampled("p", 2, RIGHT, WRONG),
        sampled("p", 3, WRONG, WRONG),
        sampled("q", 0, UNPARSED, RIGHT),
        sampled("q", 1, CUT, RIGHT),
        sampled("q", 2, RIGHT, CUT),
        sampled("q", 3, RIGHT, UNPARSED),
    ]
    traces, verdicts = split(items)
    wrong_right, right_right = star(traces, verdicts)
    assert wrong_right == [traces[0], traces[4], traces[5]]
    assert right_right == [traces[1]]


def test_star_may_keep_nothing():
    assert star(*split([sampled("p", 0, WRONG, WRONG)])) == [[], []]
    assert star([], []) == [[], []]


# --- pairs --------------------------------------------------------------------------------------


def texts(made: list[list[Trace]]) -> list[list[list[str]]]:
    return [[[a.text for a in one.attempts] for one in group] for group in made]


def test_first_attempts_are_paired_whatever_the_second_ones_were():
    items = [
        sampled("p", 0, WRONG, RIGHT),
        sampled("p", 1, RIGHT, WRONG),
        sampled("p", 2, UNPARSED, WRONG),
    ]
    made = pair(*split(items), rng())
    assert texts(made) == [[["p0.1", "p1.1"], ["p2.1", "p1.1"]], []]


def test_a_right_attempt_is_not_its_own_partner():
    one = [sampled("p", 0, RIGHT, RIGHT), sampled("p", 1, WRONG, RIGHT)]
    assert texts(pair(*split(one), rng())) == [[["p1.1", "p0.1"]], []]
    two = [sampled("p", 0, RIGHT, RIGHT), sampled("p", 1, RIGHT, RIGHT)]
    assert texts(pair(*split(two), rng())) == [[], [["p0.1", "p1.1"], ["p1.1", "p0.1"]]]


def test_partners_are_of_the_same_problem():
    items = [sampled("p", 0, WRONG, RIGHT), sampled("q", 0, RIGHT, RIGHT)]
    assert pair(*split(items), rng()) == [[], []]


def test_partners_are_drawn_among_all_right_ones():
    items = [sampled("p", 0, WRONG, WRONG), *(sampled("p", i, RIGHT, RIGHT) for i in (1, 2, 3))]
    draw = np.random.default_rng(1)
    drawn = {pair(*split(items), draw)[0][0].attempts[1].text for _ in range(50)}
    assert drawn == {"p1.1", "p2.1", "p3.1"}


@pytest.mark.parametrize("first", [WRONG, CUT])
def test_a_pair_reads_as_a_trace(first):
    """The revision stands after the instruction, not the problem; nothing else of it changes."""
    (wrong, _), (right, _) = items = [sampled("p", 0, first, WRONG), sampled("p", 1, RIGHT, WRONG)]
    ((made,), _) = pair(*split(items), rng())
    assert made.problem == wrong.problem
    assert made.attempts[0] == wrong.attempts[0]
    revision = made.attempts[1]
    assert revision.prompt == ([EOS, *BRIDGE] if first is CUT else BRIDGE)
    for name in ("tokens", "logprobs", "text", "truncated"):
        assert getattr(revision, name) == getattr(right.attempts[0], name)


def test_pairing_leaves_the_traces_alone():
    items = [sampled("p", 0, WRONG, RIGHT), sampled("p", 1, RIGHT, RIGHT)]
    again = [sampled("p", 0, WRONG, RIGHT), sampled("p", 1, RIGHT, RIGHT)]
    pair(*split(items), rng())
    assert items == again


def test_pairs_follow_the_generator():
    items = [sampled("p", i, RIGHT if i % 2 else WRONG, RIGHT) for i in range(12)]
    assert pair(*split(items), rng()) == pair(*split(items), rng())
    assert pair(*split(items), rng()) != pair(*split(items), np.random.default_rng(5))


# --- what is kept of them -----------------------------------------------------------------------

MADE = [
    [sampled("p", i, WRONG, RIGHT)[0] for i in range(3)],
    [sampled("q", i, RIGHT, RIGHT)[0] for i in range(4)],
]


@pytest.mark.parametrize(
    ("transitions", "expected"),
    [
        (["wrong_right"], MADE[0]),
        (["right_right"], MADE[1]),
        (["wrong_right", "right_right"], [*MADE[0], *MADE[1]]),
        (["right_right", "wrong_right"], [*MADE[0], *MADE[1]]),
    ],
)
def test_the_wanted_transitions(transitions, expected):
    assert chosen(MADE, transitions, 100, rng()) == expected


def test_a_cap_draws_without_repetition_and_keeps_the_order():
    both = [*MADE[0], *MADE[1]]
    draw = np.random.default_rng(0)
    kept = [chosen(MADE, ["wrong_right", "right_right"], 4, draw) for _ in range(40)]
    for one in kept:
        places = [both.index(item) for item in one]
        assert len(places) == 4
        assert places == sorted(set(places))
    assert {both.index(item) for one in kept for item in one} == set(range(7))


def test_nothing_to_keep():
    assert chosen([[], []], ["wrong_right"], 4, rng()) == []


def test_selecting_needs_no_torch():
    code = "import sys, selfcorrect.learning.traces; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
