"""Grading programs: verdicts, and that the same program with the same tests is executed once."""

import sqlite3
from dataclasses import replace
from typing import ClassVar

import pytest

from selfcorrect.grading import executions as stored
from selfcorrect.grading import programs
from selfcorrect.grading.executions import Executions
from selfcorrect.grading.programs import ProgramGrader, Workplace
from selfcorrect.grading.sandbox.limits import Limits, Outcome, Result
from selfcorrect.grading.sandbox.pool import Sandbox, SandboxProblem, protection
from selfcorrect.records import Problem, ProgramTests, Submission, Verdict
from selfcorrect.spec.sandbox import SandboxLimits

needs_sandbox = pytest.mark.skipif(
    not protection().safe, reason=f"no sandbox on this machine: {protection()}"
)

LIMITS = SandboxLimits(
    cpu_seconds=1, wall_seconds=10, memory_mb=128, output_mb=1, allow_unsafe=False
)
TESTS = ProgramTests("double", "assert double(3) == 6\nassert double(-1) == -2")
PROBLEM = Problem("p", "Double x.", "return 2 * x", "1", TESTS)


def extract(problem: Problem, text: str) -> str | None:
    line = text.partition("\n")[0]
    return f"def double(x):\n    {line}" if line.startswith("return") else None


class Counting(Sandbox):
    """A sandbox that counts what it executes."""

    executed: ClassVar[list[str]] = []

    def run_all(self, executions):
        self.executed.extend(program for program, _ in executions)
        return super().run_all(executions)


@pytest.fixture
def executed(monkeypatch) -> list[str]:
    """The programs that were executed."""
    monkeypatch.setattr(programs, "Sandbox", Counting)
    Counting.executed = []
    return Counting.executed


def grader(path=None) -> ProgramGrader:
    return ProgramGrader(extract, LIMITS, Workplace(executions=path))


@needs_sandbox
@pytest.mark.parametrize(
    ("text", "truncated", "verdict"),
    [
        ("return 2 * x", False, Verdict.RIGHT),
        ("return x + 3", False, Verdict.WRONG),
        ("return 2 *", False, Verdict.ERROR),
        ("return x / 0", False, Verdict.ERROR),
        ("return open('/etc/shadow')", False, Verdict.ERROR),
        ("return __import__('socket').socket()", False, Verdict.FORBIDDEN),
        ("return bytearray(2**30)", False, Verdict.MEMORY),
        ("return [print('x' * 10**6) for _ in range(9)]", False, Verdict.OUTPUT),
        ("return sum(1 for _ in iter(int, 1))", False, Verdict.TIMEOUT),
        ("I do not know.", False, Verdict.UNPARSED),
        ("return 2 * x", True, Verdict.TRUNCATED),
    ],
)
def test_every_outcome_has_its_verdict(text, truncated, verdict):
    (grade,) = grader().grade([Submission(PROBLEM, text, truncated)])
    if verdict is Verdict.ERROR and "shadow" in text:  # what is not shown is not there
        assert grade.verdict in (Verdict.ERROR, Verdict.FORBIDDEN)
    else:
        assert grade.verdict is verdict
    assert grade.reward == (verdict is Verdict.RIGHT)
    ran = verdict not in (Verdict.UNPARSED, Verdict.TRUNCATED)
    assert (grade.answer is not None) == (grade.reason is not None) == ran


@needs_sandbox
def test_the_same_program_is_executed_once(executed, tmp_path):
    path = tmp_path / "results" / "executions.sqlite"
    texts = ["return 2 * x", "return x", "return 2 * x", "no program", "return x"]
    submissions = [Submission(PROBLEM, text) for text in texts]
    expected = [Verdict.RIGHT, Verdict.WRONG, Verdict.RIGHT, Verdict.UNPARSED, Verdict.WRONG]
    first, second = grader(path), grader(path)
    assert [grade.verdict for grade in first.grade(submissions)] == expected
    assert len(executed) == 2
    first.grade(submissions)
    assert [grade.verdict for grade in second.grade(submissions)] == expected
    assert len(executed) == 2


@needs_sandbox
def test_another_problem_with_other_tests_is_executed_again(executed):
    other = replace(PROBLEM, tests=replace(TESTS, code="assert double(1) == 3"))
    grades = grader().grade(
        [Submission(PROBLEM, "return 2 * x"), Submission(other, "return 2 * x")]
    )
    assert [grade.verdict for grade in grades] == [Verdict.RIGHT, Verdict.WRONG]
    assert len(executed) == 2


@needs_sandbox
def test_a_changed_grader_version_misses(executed, tmp_path, monkeypatch):
    submissions = [Submission(PROBLEM, "return 2 * x")]
    grader(tmp_path / "e.sqlite").grade(submissions)
    monkeypatch.setattr(programs, "VERSION", "another")
    grader(tmp_path / "e.sqlite").grade(submissions)
    assert len(executed) == 2


@needs_sandbox
def test_the_grader_says_what_programs_were_run_behind():
    assert grader().version == f"{programs.VERSION} ({protection()})"


def test_without_the_needed_layers_programs_are_not_run(monkeypatch):
    missing = protection(frozenset({"seccomp"}))
    monkeypatch.setattr("selfcorrect.grading.sandbox.pool.protection", lambda _: missing)
    with pytest.raises(SandboxProblem, match=r"seccomp.*`data\.sandbox\.allow_unsafe: true`"):
        grader().grade([Submission(PROBLEM, "return 2 * x")])
    unsafe = LIMITS.model_copy(update={"allow_unsafe": True})
    allowed = ProgramGrader(extract, unsafe, Workplace())
    (grade,) = allowed.grade([Submission(PROBLEM, "return 2 * x")])
    assert grade.verdict is Verdict.RIGHT
    assert allowed.version.startswith(f"{programs.VERSION} (UNSAFE: ")


def test_a_problem_without_tests_is_named():
    with pytest.raises(ValueError, match="'p' has no tests"):
        grader().grade([Submission(replace(PROBLEM, tests=None), "return 2 * x")])


# --- the file of executions -------------------------------------------------------------------


def executions(path=None, version="programs/1", layers=("limits",), limits=None) -> Executions:
    return Executions(path, version, layers, limits or Limits())


RESULT = Result(Outcome.FAILED, "AssertionError", 0.1, 5)
EXECUTION = ("def double(x): ...", TESTS)


def test_everything_that_a_result_depends_on_is_in_its_key():
    program, tests = EXECUTION
    keys = {
        executions().key(EXECUTION),
        executions(version="programs/2").key(EXECUTION),
        executions(layers=()).key(EXECUTION),
        executions(limits=Limits(cpu_seconds=1)).key(EXECUTION),
        executions().key((program + " ", tests)),
        executions().key((program, replace(tests, entry_point="f"))),
        executions().key((program, replace(tests, code="assert False"))),
        executions().key((program, replace(tests, context="import math"))),
        executions().key((program, replace(tests, names=("Node",)))),
    }
    assert len(keys) == 9
    assert executions().key(EXECUTION) in keys


def test_results_are_found_again_and_by_other_jobs(tmp_path):
    path = tmp_path / "e.sqlite"
    ours, theirs = executions(path), executions(path)
    key = ours.key(EXECUTION)
    assert theirs.find([key]) == {}
    ours.keep({key: RESULT})
    assert theirs.find([key, b"another"]) == {key: RESULT}


def test_many_keys_are_found_in_parts():
    ours = executions()
    keys = [bytes([n // 256, n % 256]) for n in range(3 * stored.AT_A_TIME + 1)]
    ours.keep(dict.fromkeys(keys, RESULT))
    assert set(ours.find(keys)) == set(keys)


def test_what_may_come_out_otherwise_is_not_kept():
    ours = executions()
    ours.keep({b"key": Result(Outcome.TIMEOUT, "more than 1 s", certain=False)})
    assert ours.find([b"key"]) == {}


def test_a_program_that_is_no_unicode_has_a_key():
    assert executions().key(("\ud800", TESTS))


def test_a_damaged_file_is_named_and_begun_anew(tmp_path, capsys):
    path = tmp_path / "e.sqlite"
    path.write_bytes(b"no database" * 100)
    ours = executions(path)
    ours.keep({b"key": RESULT})
    assert ours.find([b"key"]) == {b"key": RESULT}
    assert f"{path}: damaged" in capsys.readouterr().err


def spoiled(path):
    """A file of many pages, of which all but the first, which is read at the start, are spoiled."""
    executions(path).keep({str(at).encode(): RESULT for at in range(2000)})
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize("use", ["find", "keep"])
def test_damage_that_is_met_later_is_named_and_the_file_begun_anew(tmp_path, capsys, use):
    path = tmp_path / "e.sqlite"
    spoiled(path)
    ours = executions(path)
    if use == "find":
        assert ours.find([b"7"]) == {}
    else:
        ours.keep({b"key": RESULT})
    assert f"{path}: damaged" in capsys.readouterr().err
    ours.keep({b"key": RESULT})
    assert executions(path).find([b"key", b"7"]) == {b"key": RESULT}


def test_a_file_that_another_job_began_anew_is_kept(tmp_path):
    path = tmp_path / "e.sqlite"
    spoiled(path)
    one, other = executions(path), executions(path)
    one.find([b"7"])
    one.keep({b"key": RESULT})
    other.find([b"7"])
    assert other.find([b"key"]) == executions(path).find([b"key"]) == {b"key": RESULT}


def test_a_result_that_cannot_be_read_is_not_known(tmp_path):
    path = tmp_path / "e.sqlite"
    ours = executions(path)
    ours.keep({b"one": RESULT, b"other": RESULT})
    with sqlite3.connect(path) as database:
        database.execute("UPDATE results SET result = '{}' WHERE key = ?", (b"one",))
    assert ours.find([b"one", b"other"]) == {b"other": RESULT}


def test_a_file_that_cannot_be_used_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stored, "BUSY_SECONDS", 0.1)
    path = tmp_path / "e.sqlite"
    executions(path).keep({b"key": RESULT})
    holding = sqlite3.connect(path, isolation_level=None)
    holding.execute("BEGIN EXCLUSIVE")
    ours = executions(path)
    assert f"{path}: not used" in capsys.readouterr().err
    ours.keep({b"key": RESULT})
    assert ours.find([b"key"]) == {b"key": RESULT}
    holding.execute("ROLLBACK")
    assert executions(path).find([b"key"]) == {b"key": RESULT}


@needs_sandbox
def test_results_are_kept_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "AT_A_TIME", 1)
    broken = replace(PROBLEM, id="broken", tests=replace(TESTS, context="import nothing_there"))
    path = tmp_path / "e.sqlite"
    with pytest.raises(SandboxProblem, match=r"^problem 'broken': its tests cannot be run"):
        grader(path).grade([Submission(PROBLEM, "return 2 * x"), Submission(broken, "return x")])
    kept = sqlite3.connect(path).execute("SELECT count(*) FROM results").fetchone()
    assert kept == (1,)


@needs_sandbox
def test_an_answer_that_was_done_before_it_was_cut_counts():
    text = "return 2 * x\n[DONE]\n\nYou are an expert Python prog"
    (grade,) = grader().grade([Submission(PROBLEM, text, truncated=True)])
    assert grade.verdict is Verdict.RIGHT


def test_a_file_that_another_job_holds_costs_only_time(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "BUSY_SECONDS", 0.1)
    path = tmp_path / "e.sqlite"
    ours = executions(path)
    holding = sqlite3.connect(path, isolation_level=None)
    holding.execute("BEGIN EXCLUSIVE")
    ours.keep({b"key": RESULT})
    assert ours.find([b"key"]) == {}
    holding.execute("ROLLBACK")
    ours.keep({b"key": RESULT})
    assert ours.find([b"key"]) == {b"key": RESULT}
