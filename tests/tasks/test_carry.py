"""The `carry` testbed against arithmetic on plain Python integers and digit-by-digit solvers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from selfcorrect import config, seeds
from selfcorrect.records import Submission, Verdict
from selfcorrect.tasks import carry, make_task, make_testbed
from tiny import grade

ROOT = Path(__file__).resolve().parents[2]
TASK = config.load(yaml.safe_load((ROOT / "config/config.yaml").read_text())).tasks["carry"]


@pytest.fixture(scope="module")
def testbed():
    return make_testbed(TASK.data, TASK.corpus)


@pytest.fixture(scope="module")
def drawn(testbed):
    """Digits of many problems, [N, W] each, least significant first."""
    return testbed._draw(seeds.generator(1, "test"), 4000)


def right(attempt, a, b):
    return (attempt == carry.exact_sum(a, b)).all(1)


def test_every_gold_answer_is_the_sum_and_passes_the_grader(testbed):
    for split in ("train", "validation", "test"):
        for problem in testbed.problems(split):
            left, _, other = problem.question.partition("+")
            assert int(left) + int(other) == int(problem.answer)
            assert len(problem.answer) == TASK.data.width + 1
            assert grade(testbed, problem, problem.answer).verdict is Verdict.RIGHT


def test_splits_are_disjoint_whole_and_stable(testbed):
    splits = {name: testbed.problems(name) for name in ("train", "validation", "test")}
    ids = [problem.id for problems in splits.values() for problem in problems]
    assert len(set(ids)) == len(ids)
    assert [len(splits[name]) for name in splits] == [
        TASK.data.train, TASK.data.validation, TASK.data.test
    ]  # fmt: skip
    again = make_task(TASK.data).problems("test")
    assert list(again) == list(splits["test"])
    other = make_task(TASK.data.model_copy(update={"seed": 5})).problems("test")
    assert list(other) != list(again)


def test_more_training_problems_leave_the_held_out_ones_as_they_are():
    more = TASK.data.model_copy(update={"train": TASK.data.train + 1000})
    for split in ("validation", "test"):
        ours = {problem.id for problem in make_task(TASK.data).problems(split)}
        theirs = {problem.id for problem in make_task(more).problems(split)}
        assert ours == theirs


def test_levels_are_the_numbers_of_digits(testbed):
    for problem in testbed.problems("test"):
        for number in problem.question.split("+"):
            assert len(str(int(number))) == int(problem.level)
            assert len(number) == TASK.data.width


def test_nine_columns_are_as_frequent_as_the_config_says(testbed):
    a, b = testbed._draw(seeds.generator(2, "nines"), 50_000)
    level = testbed._levels_of(a, b)
    inner = np.arange(TASK.data.width) < (level - 1)[:, None]
    share = ((a + b) == 9)[inner].mean()
    expected = TASK.data.nine_probability + (1 - TASK.data.nine_probability) * 0.1
    assert abs(share - expected) < 0.01


def hasty_by_hand(a, b):
    """One problem, digit by digit: a carry leaves a column only if its own digits reach ten."""
    out, into = [], 0
    for x, y in [*zip(a, b, strict=True), (0, 0)]:
        out.append((x + y + into) % 10)
        into = 1 if x + y >= 10 else 0
    return out


def repair_by_hand(a, b, attempt, forced=None):
    """One problem: every column's carry-in as written decides the carry of the next column."""
    columns = [*zip(a, b, strict=True), (0, 0)]
    out, into = [], 0
    for position, ((x, y), digit) in enumerate(zip(columns, attempt, strict=True)):
        out.append((x + y + into) % 10)
        written = 1 if (digit - x - y) % 10 == 1 else 0
        into = 1 if x + y + written >= 10 or position == forced else 0
    return out


def test_solvers_equal_hand_written_ones(drawn):
    a, b = drawn
    hasty = carry.hasty_sum(a, b)
    repaired = carry.repair(a, b, hasty)
    eager = carry.repair_over_eagerly(a, b, hasty)
    for row in range(300):
        x, y = a[row].tolist(), b[row].tolist()
        assert hasty[row].tolist() == hasty_by_hand(x, y)
        assert repaired[row].tolist() == repair_by_hand(x, y, hasty[row].tolist())
        nines = [i for i in range(len(x)) if x[i] + y[i] == 9]
        forced = max(nines) if nines else None
        assert eager[row].tolist() == repair_by_hand(x, y, hasty[row].tolist(), forced)


def test_repair_never_harms_and_each_step_resolves_more(drawn):
    a, b = drawn
    attempt, accuracy = carry.hasty_sum(a, b), []
    for _ in range(6):
        was_right = right(attempt, a, b)
        accuracy.append(was_right.mean())
        attempt = carry.repair(a, b, attempt)
        assert right(attempt, a, b)[was_right].all()
    assert all(later > earlier for earlier, later in pairwise(accuracy[:5]))
    # As designed: 50.7, 80.0, 93.5, 98.2 % for levels 5 and 6 and nine-columns in 40 %
    np.testing.assert_allclose(accuracy[:4], [0.507, 0.80, 0.935, 0.982], atol=0.03)


def test_the_over_eager_reviser_repairs_some_and_harms_more(drawn):
    a, b = drawn
    hasty = carry.hasty_sum(a, b)
    before, after = right(hasty, a, b), right(carry.repair_over_eagerly(a, b, hasty), a, b)
    # As designed: i→c 35 %, c→i 47 % of problems
    assert abs((~before & after).mean() - 0.35) < 0.03
    assert abs((before & ~after).mean() - 0.47) < 0.03


def test_the_careless_reviser_only_drops_the_carry_into_the_tens(drawn):
    a, b = drawn
    attempt = carry.exact_sum(a, b)
    rewritten = carry.rewrite_carelessly(a, b, attempt, TASK.corpus.careless_from)
    changed = rewritten != attempt
    assert not np.delete(changed, 1, axis=1).any()
    subset = (a[:, 0] >= TASK.corpus.careless_from) & (a[:, 0] + b[:, 0] >= 10)
    assert (changed[:, 1] == subset).all()
    assert 0 < subset.mean() < 0.5


def test_a_slip_changes_one_digit(drawn):
    a, b = drawn
    attempt = carry.exact_sum(a, b)
    slipped = carry.slip(attempt, seeds.generator(3, "slip"))
    assert ((slipped != attempt).sum(1) == 1).all()
    assert ((slipped >= 0) & (slipped <= 9)).all()


def test_the_corpus_is_the_mixture_of_the_config(testbed):
    count = 20_000
    documents = list(testbed.documents(seeds.generator(4, "corpus"), count))
    corpus = TASK.corpus
    attempts = np.array([len(document.attempts) for document in documents])
    assert abs((attempts == 1).mean() - corpus.single) < 0.02
    several = attempts > 1
    assert abs((attempts[several] == corpus.max_attempts).mean() - corpus.longer) < 0.02
    refined = np.array([document.instruction == "refinement" for document in documents])
    assert abs(refined[several].mean() - corpus.refined) < 0.02
    assert not refined[~several].any()
    # First attempts of single documents: hasty ones right in half, repaired ones in four fifths.
    correct = [
        int(document.attempts[0]) == sum(map(int, document.question.split("+")))
        for document in documents
        if len(document.attempts) == 1
    ]
    expected = np.dot(corpus.first, [0.51, 0.80])
    assert abs(np.mean(correct) - expected) < 0.03


def test_no_document_is_about_a_held_out_problem():
    small = TASK.data.model_copy(
        update={"width": 2, "levels": (2,), "train": 500, "validation": 500, "test": 500}
    )
    testbed = make_testbed(small, TASK.corpus)
    held_out = {p.question for split in ("validation", "test") for p in testbed.problems(split)}
    questions = {d.question for d in testbed.documents(seeds.generator(5, "corpus"), 3000)}
    assert len(held_out) == 1000
    assert not held_out & questions


def test_a_small_space_still_gives_as_many_documents_as_asked():
    small = TASK.data.model_copy(
        update={"width": 2, "levels": (2,), "train": 500, "validation": 700, "test": 700}
    )
    testbed = make_testbed(small, TASK.corpus)
    assert len(list(testbed.documents(seeds.generator(6, "corpus"), 1000))) == 1000


@pytest.mark.parametrize(
    ("text", "truncated", "verdict"),
    [
        ("0579", False, Verdict.RIGHT),
        (" 0579 ", False, Verdict.RIGHT),
        ("0578", False, Verdict.WRONG),
        ("579", False, Verdict.WRONG),
        ("", False, Verdict.UNPARSED),
        ("0579 0579", False, Verdict.UNPARSED),
        ("0579?", False, Verdict.UNPARSED),
        ("0579", True, Verdict.TRUNCATED),
    ],
)
def test_grading_fails_closed(text, truncated, verdict):
    data = TASK.data.model_copy(update={"width": 3, "levels": (3,), "train": 10, "validation": 10})
    task = make_task(data.model_copy(update={"test": 10}))
    problem = task.problems("test")[0]
    problem = type(problem)(problem.id, "123+456", "0579", "3")
    found = grade(task, problem, text, truncated)
    assert found.verdict is verdict
    assert found.reward == (verdict is Verdict.RIGHT)


def kinds(testbed, problems, attempts):
    return testbed.errors(
        [Submission(of, said) for of, said in zip(problems, attempts, strict=True)]
    )


def test_the_kind_of_a_mistake_is_that_of_who_makes_it(testbed):
    """Of each solver's attempts, those that are wrong, and no others, are called its mistakes."""
    problems = testbed.problems("validation")
    sides = [of.question.split("+") for of in problems]
    width = testbed.data.width
    a, b = (carry.digits_of([pair[side] for pair in sides], width) for side in (0, 1))
    exact, hasty = carry.exact_sum(a, b), carry.hasty_sum(a, b)
    rng = np.random.default_rng(0)
    written = {
        "carries lost at once": hasty,
        "carries lost further on": carry.repair(a, b, hasty),
        "carry made up": carry.repair_over_eagerly(a, b, exact),
        "carry into the tens dropped": carry.rewrite_carelessly(a, b, exact, 7),
        "one digit wrong": carry.slip(exact, rng),
    }
    for kind, attempts in written.items():
        found = np.array(kinds(testbed, problems, carry.text(attempts)))
        wrong = (attempts != exact).any(axis=1)
        assert (found[~wrong] == "none").all() and wrong.sum() > 100
        # Some slips are by chance what a solver would write.
        assert (found[wrong] == kind).mean() > (0.95 if kind == "one digit wrong" else 0.999)


def test_attempts_that_no_solver_writes_are_other_or_unreadable(testbed):
    problem = testbed.problems("validation")[0]
    far = str(int(problem.answer[::-1]) % 10 ** len(problem.answer)).zfill(len(problem.answer))
    assert kinds(testbed, [problem] * 3, [far, "12", "12345x7"])[1:] == ["unreadable"] * 2
    assert kinds(testbed, [problem], [problem.answer]) == ["none"]
    assert kinds(testbed, [problem], [f" {problem.answer}\n"]) == ["none"]  # as it is graded
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in problem.answer)
    assert wide.isdecimal() and kinds(testbed, [problem], [wide]) == ["unreadable"]
