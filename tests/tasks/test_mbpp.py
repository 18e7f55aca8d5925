"""MBPP: its file as problems. Tests of the real file skip where it is not there."""

import ast
import json

import pytest
from golds import WRAPPINGS, failures, wrapped

from selfcorrect import prompts
from selfcorrect.files import FileProblem
from selfcorrect.records import Problem, ProgramTests
from selfcorrect.spec.programs import MBPP_SPLITS, MBPPProblems
from selfcorrect.tasks import mbpp
from selfcorrect.tasks.mbpp import MBPP, called, program
from selfcorrect.validation import ConfigError, parse
from shared_data import data

SANDBOX = {
    "cpu_seconds": 1,
    "wall_seconds": 1.0,
    "memory_mb": 64,
    "output_mb": 1,
    "allow_unsafe": False,
}
FULL = "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f"
SLOW = "MBPP/123"  # seconds; it was run by hand


def make(path, sanitized=False, sha256=None):
    section = {
        "kind": "mbpp",
        "rows": {"path": str(path), "sha256": sha256},
        "sanitized": sanitized,
    }
    return MBPP(parse(MBPPProblems, {**section, "sandbox": SANDBOX}))


@pytest.fixture(scope="module")
def full():
    return make(data("mbpp/mbpp.jsonl"), sha256=FULL)


@pytest.fixture(scope="module")
def sanitized():
    return make(data("mbpp/sanitized-mbpp.json"), sanitized=True)


@pytest.fixture(scope="module", params=["full", "sanitized"])
def task(request):
    return request.getfixturevalue(request.param)


def everything(task):
    return list(task._problems.values())


# --- the real files ---------------------------------------------------------------------------


def test_every_gold_program_passes_its_tests(task):
    quick = [problem for problem in everything(task) if problem.id != SLOW]
    assert failures((problem, program(problem, problem.answer)) for problem in quick) == []


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_gold_program_is_found_in_a_completion(task, wrapping):
    for problem in everything(task):
        found = program(problem, wrapped(problem.answer, wrapping))
        assert found is not None
        assert found.strip() == problem.answer.strip()
        assert program(problem, found) == found


def test_the_splits_are_the_authors(full, sanitized):
    for split, ids in MBPP_SPLITS.items():
        assert [problem.id for problem in full.problems(split)] == [f"MBPP/{id}" for id in ids]
        checked = [problem.id for problem in sanitized.problems(split)]
        assert checked == [f"MBPP/{id}" for id in ids if f"MBPP/{id}" in checked]
        for task in (full, sanitized):
            assert len(task.problems(split)) == getattr(task.data, split)


def test_lines_end_as_on_unix(task):
    for problem in everything(task):
        assert "\r" not in f"{problem.question}{problem.answer}{problem.tests}"


def test_setup_runs_after_the_program_and_before_the_tests(full):
    setups = [
        problem for problem in everything(full) if not problem.tests.code.startswith("assert")
    ]
    assert [problem.id for problem in setups] == ["MBPP/367", "MBPP/927"]
    for problem in setups:
        assert problem.tests.names == ("Node",)
        assert problem.tests.code.startswith("root = Node(1)")
        assert "Node(1)" not in problem.question


def test_imports_of_the_tests_are_their_context(full, sanitized):
    contexts = {problem.id: problem.tests.context for problem in everything(sanitized)}
    assert sum(context == "import math" for context in contexts.values()) == 13
    assert {id for id, text in contexts.items() if text == "import sys"} == {"MBPP/596"}
    assert sum(map(bool, contexts.values())) == 14
    others = {problem.id: problem.tests.context for problem in everything(full)}
    assert {id: text for id, text in others.items() if text} == {"MBPP/596": "import sys"}


def test_the_shots_are_tasks_2_3_and_4(full):
    opening = "You are an expert Python programmer, and here is your task: "
    for id in (2, 3, 4):
        problem = full._problems[id]
        code = "\n".join(line.rstrip() for line in problem.answer.splitlines())
        shot = f"{opening}{problem.question}\n[BEGIN]\n{code}\n[DONE]\n\n"
        assert shot in prompts.MBPP.first
    assert prompts.MBPP.first.endswith(f"{opening}{{question}}\n[BEGIN]")
    assert prompts.MBPP.first.count(opening) == 4


# --- one problem ------------------------------------------------------------------------------

RECORD = {
    "task_id": 1,
    "text": "Write a function.",
    "code": "def f(x):\r\n    return {x}",
    "test_setup_code": "",
    "test_list": ["assert f(1) == {1} ", "assert f(2) == {2}"],
    "challenge_test_list": ["assert f(3) == {3}"],
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """The problem of a record, by way of a file."""
    monkeypatch.setattr(mbpp, "MBPP_PROBLEMS", 1)

    def loaded(**changes):
        path = tmp_path / "mbpp.jsonl"
        path.write_text(json.dumps(RECORD | {"task_id": 601} | changes))
        return make(path).problems("train")[0]

    return loaded


def test_a_record_becomes_a_problem(load):
    assert load() == Problem(
        id="MBPP/601",
        question="Write a function. Your code should pass these tests:\n\n"
        "assert f(1) == {1}\nassert f(2) == {2}",
        answer="def f(x):\n    return {x}",
        level="",
        tests=ProgramTests("f", "assert f(1) == {1}\nassert f(2) == {2}"),
    )


def test_braces_of_a_question_are_text(load):
    problem = load(text="Use {question} and {0}.")
    opening = prompts.MBPP.opening(problem.question)
    assert opening.endswith(
        "here is your task: Use {question} and {0}. Your code should pass these tests:\n\n"
        "assert f(1) == {1}\nassert f(2) == {2}\n[BEGIN]"
    )
    assert opening.count("[BEGIN]") == 4


def test_imports_that_only_the_gold_program_has_serve_the_tests(load):
    gold = "import os.path, sys\nimport re\nfrom math import sqrt as root\ndef f(x):\n  return x"
    tests = ["assert f(1) == sys.maxsize", "assert root(1) == 1"]
    context = load(code=gold, test_list=tests).tests.context
    assert context == "import os.path, sys\nfrom math import sqrt as root"


def test_what_else_the_tests_use_of_the_program_is_named(load):
    gold = "class Pair: pass\nclass Other: pass\ndef g(x): pass\ndef f(x): return g(x)"
    setup = "pair = Pair()"
    tests = load(code=gold, test_setup_code=setup, test_list=["assert f(pair) == g(1)"]).tests
    assert tests == ProgramTests("f", f"{setup}\nassert f(pair) == g(1)", names=("Pair", "g"))


def test_only_three_problems_use_more_than_a_function(task):
    names = {problem.id: problem.tests.names for problem in everything(task) if problem.tests.names}
    used = {"MBPP/367": ("Node",), "MBPP/601": ("Pair",), "MBPP/927": ("Node",)}
    assert names == ({} if task.data.sanitized else used)


@pytest.mark.parametrize(
    "test",
    [
        "assert f(1) == 2",
        "assert set(f(1)) == set((1, 2))",
        "assert not f(1)",
        "assert math.isclose(f(1), 2, rel_tol=0.1)",
        "assert f([Pair(1, 2), Pair(3, 4)]) == 3",
        "assert f(g(1)) == 2",
        "assert sorted(f(x)[0] for x in [Pair(1, 2)]) == 2",
        "x = Pair(1, 2)\nassert f(x)",
    ],
)
def test_the_entry_point_is_the_gold_function_that_the_tests_call(test):
    gold = "class Pair: pass\ndef g(x): pass\ndef f(x): return h(x)\ndef h(x): pass"
    assert called(ast.parse(test), ast.parse(gold)) == "f"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": "def f(x:"}, "task_id 601: `code` is not Python"),
        ({"test_list": ["assert f("]}, "task_id 601: `test_list` is not Python"),
        ({"test_imports": ["import ("]}, "task_id 601: `test_imports` is not Python"),
        ({"code": "x = " + "(" * 5000}, "task_id 601: `code` is not Python"),
        ({"test_list": ["assert g(1)"]}, "task_id 601: `test_list` calls no function that `code`"),
        ({"test_list": []}, "task_id 601: `test_list` calls no function"),
        ({"test_list": "assert f(1)"}, r"line 1 \(task_id 601\): `test_list`: "),
        ({"task_id": 975}, "task_id 975 is not one of MBPP's, 1 to 974"),
        ({"task_id": "601"}, r"line 1 \(task_id '601'\): `task_id`: "),
        ({"code": None}, r"line 1 \(task_id 601\): `code`: "),
    ],
)
def test_a_record_that_makes_no_problem_is_told(load, changes, message):
    with pytest.raises(FileProblem, match=rf"mbpp\.jsonl: {message}.*Mend the file"):
        load(**changes)


def test_a_text_without_a_program_is_none(load):
    assert program(load(), "I do not know.") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": {"path": ""}}, "path"),
        ({"rows": {"path": "a", "sha256": "abc"}}, "sha256"),
        ({"sanitised": True}, "did you mean `sanitized`"),
        ({"sanitized": 1}, "sanitized"),
    ],
)
def test_the_config_section_is_checked(change, message):
    section = {"kind": "mbpp", "rows": {"path": "a"}, "sanitized": False, "sandbox": SANDBOX}
    parse(MBPPProblems, section)
    with pytest.raises(ConfigError, match=message):
        parse(MBPPProblems, section | change)
