"""Final answers: read off solutions of any shape, compared in bounded time, failing closed."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from math_pairs import DIFFERENT, SAME, SOLUTIONS, TRICKY

from selfcorrect.grading.mathematics import judge
from selfcorrect.grading.mathematics.final_answer import final_answer, last_box
from selfcorrect.grading.mathematics.judge import MathGrader
from selfcorrect.grading.mathematics.notation import notation
from selfcorrect.records import Problem, Submission, Verdict


@pytest.fixture(scope="module")
def grader():
    return MathGrader()


def graded(grader, gold, text, truncated=False):
    return grader.grade([Submission(Problem("p", "q", gold, "1"), text, truncated)])[0]


# --- comparing -----------------------------------------------------------------------------------


def pairs():
    for groups, same in ((SAME, True), (DIFFERENT, False)):
        for kind, answers in groups.items():
            for gold, *others in answers:
                yield from ((kind, gold, other, same) for other in others)
    yield from (("tricky", *pair) for pair in TRICKY)


def test_hard_pairs_are_judged_rightly(grader):
    found = [
        (kind, gold, other, same)
        for kind, gold, other, same in pairs()
        if (grader.compare(gold, other) == "right") is not same
    ]
    count = len(list(pairs()))
    assert count >= 300
    assert len(found) <= 0.01 * count, found


@pytest.mark.parametrize(("gold", "text", "right"), SOLUTIONS)
def test_all_that_a_solution_gives_as_its_answer_counts(grader, gold, text, right):
    assert (graded(grader, gold, text).verdict is Verdict.RIGHT) is right


def test_the_same_answer_is_the_same_both_ways_round(grader):
    found = [
        (gold, other)
        for _, gold, other, same in pairs()
        if same and notation(other) and grader.compare(other, gold) != "right"
    ]
    assert len(found) <= 0.1 * len(list(pairs())), found


@pytest.mark.parametrize("nothing", ["", " ", "$$", "$ $", "\\text{}", "\\,", "."])
def test_nothing_equals_nothing(grader, nothing):
    assert grader.compare(nothing, nothing) == "unparsed"
    assert grader.compare("5", nothing) == "unparsed"
    assert grader.compare(nothing, "5") != "right"


# --- bounds --------------------------------------------------------------------------------------

HEAVY = {
    "a tower of powers": "9^{9^{9^9}}",
    "a power of a sum": "(x+1)^{100000}",
    "braces": "{" * 900 + "}" * 900,
    "braces that stay open": "{" * 1900,
    "fractions in fractions": "\\frac{" * 190 + "1" + "}{2}" * 190,
    "brackets": "(" * 1000 + ")" * 999,
    "factorials": "12!!!!!!!!!!!!!!!!",
    "a binomial coefficient": "\\binom{10^9}{10^8}",
    "an integral": "\\int_0^1 e^{x^2}\\sin(x^3)dx",
    "a large exponent": "1e999999999",
    "a sum": "\\sum_{i=1}^{10^{12}} \\frac{1}{i^i}",
    "a matrix": "\\begin{pmatrix}" + "1&" * 900 + "1\\end{pmatrix}",
    "words": "\\text{" * 300,
}


@pytest.mark.parametrize("answer", HEAVY.values(), ids=HEAVY)
def test_no_answer_takes_longer_than_the_limit(grader, answer):
    grader.compare("x^2-1", "(x-1)(x+1)")  # starts the process
    start = time.monotonic()
    assert grader.compare(r"\frac73", answer) in ("wrong", "unparsed", "timeout", "memory")
    assert time.monotonic() - start < 10 * judge.SECONDS  # by the clock, on a busy machine


def test_after_a_timeout_it_goes_on(grader):
    assert grader.compare("2", "9^{9^{9^9}}") == "timeout"
    assert grader.compare("x^2-1", "x^2-1+0") == "right"
    assert graded(grader, "2", r"\boxed{9^{9^{9^9}}}").verdict is Verdict.TIMEOUT


def test_every_verdict_is_that_of_its_own_pair_though_the_comparing_child_was_killed():
    before = children()
    own = MathGrader()
    assert own.compare("x^2-1", "(x-1)(x+1)") == "right"
    (idle,) = [pid for pid in children() - before if not set(below(pid))]
    os.kill(int(idle), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while idle in children() and time.monotonic() < deadline:
        time.sleep(0.05)
    for i in range(2, 6):
        assert own.compare(f"x^2-{i * i}", f"(x-{i})(x+{i})") == "right"
        assert own.compare(f"x^2-{i * i}", f"(x-{i})(x-{i})") == "wrong"
    assert own.compare("3", "9^{9^{9^7}}") == "timeout"
    own.close()


def test_it_works_in_threads_and_leaves_no_process_behind():
    before = children()
    own = MathGrader()
    with ThreadPoolExecutor(4) as threads:
        answers = [f"(x-{i})(x+{i})" for i in range(12)]
        golds = [f"x^2-{i * i}" for i in range(12)]
        assert set(threads.map(own.compare, golds, answers)) == {"right"}
        assert threads.submit(own.compare, "3", "9^{9^{9^8}}").result() == "timeout"
    made = children() - before
    assert made
    own.close()
    deadline = time.monotonic() + 10
    while made & children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not made & children()
    assert threading.active_count() < 10


def children():
    """Processes below this one."""
    return set(below(os.getpid()))


def below(pid):
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):  # of every thread
        with suppress(OSError):
            for child in listed.read_text().split():
                yield child
                yield from below(child)


# --- reading -------------------------------------------------------------------------------------

READ = {
    "Final Answer: The final answer is $\\frac{1}{2}$. I hope it is correct.": "\\frac{1}{2}",
    "The final answer is 3/4. I hope it is correct.": "3/4",
    "final answer is: 42": "42",
    "The final answer is $(1, 2)$.": "(1, 2)",
    "The final answer is \\[x+1\\]. I hope it is correct.": "x+1",
    "The final answer is \\(7\\).": "7",
    "The final answer is $\\boxed{5}$. I hope it is correct.": "5",
    "The final answer is $1$. No: the final answer is $2$. I hope it is correct.": "2",
    "The final answer is $4$. I hope it is correct.\n\nProblem: what is $9+9$?": "4",
    "so \\boxed{1}, and then \\boxed{x^{2}}.": "x^{2}",
    "The final answer is $2$, or rather \\boxed{3}": "3",
    "\\boxed 2 is it": "2",
    "\\fbox{9}": "9",
    "\\boxed{\\{1,2\\}}": "\\{1,2\\}",
    "\\boxed{\\text{a } \\frac{1}{2}}": "\\text{a } \\frac{1}{2}",
    "She has 3 + 4 = <<3+4=7>>7.\n#### 7": "7",
    "#### 1,234": "1,234",
    "So the answer is 3.5.": "3.5",
    "The answer is $18. She has $5 left.": "$18",
    "The answer is **12**.": "12",
    "Answer: B": "B",
    "Thus\n$x=3$": "x=3",
    "The final answer is $34\\text{ sq. units}$. I hope it is correct.": "34\\text{ sq. units}",
    "The final answer is $\\$18$. I hope it is correct.": "\\$18",
    "Thus\n72.": "72",
}


@pytest.mark.parametrize(("text", "answer"), READ.items())
def test_final_answers_are_read(text, answer):
    assert final_answer(text) == answer


UNREAD = ["", "I do not know.", "\\boxed{1", "\\boxed{}", "The answer to this is unknown", "####",
          "The final answer is", "The final answer is . I hope it is correct.",
          "\\boxed{2}" + "\n" * 200_000 + "x\\boxed{3}",
          "x" * 100_000, "\\boxed{" * 10_000, "$" * 10_000, "answer is " * 10_000]  # fmt: skip


@pytest.mark.parametrize("text", UNREAD, ids=lambda text: text[:20] or "nothing")
def test_no_answer_is_none(grader, text):
    start = time.monotonic()
    found = graded(grader, "1", text)
    assert found.verdict in (Verdict.UNPARSED, Verdict.WRONG)
    assert time.monotonic() - start < 10


def test_verdicts(grader):
    assert graded(grader, "7", "\\boxed{7}").verdict is Verdict.RIGHT
    assert graded(grader, "7", "\\boxed{7.0}").answer == "7.0"
    # As they are read: a vote, or a count of changed answers, must not hang on how LaTeX is typed.
    written = {graded(grader, "1", f"\\boxed{{{text}}}").answer
               for text in (r"\frac13", r"\frac{1}{3}", r"\dfrac{1}{3}")}  # fmt: skip
    assert written == {r"\frac{1}{3}"}
    assert graded(grader, "7", "\\boxed{8}").verdict is Verdict.WRONG
    assert graded(grader, "7", "seven").verdict is Verdict.UNPARSED
    assert graded(grader, "7", "\\boxed{7}", truncated=True).verdict is Verdict.TRUNCATED


def test_the_last_box_has_balanced_braces():
    assert last_box("\\boxed{a{b}c} d}") == "a{b}c"
    assert last_box("\\boxed{a\\}b}") == "a\\}b"
    assert last_box("none") is None
