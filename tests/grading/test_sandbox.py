"""The sandbox with programs that mean well, and with machines, threads and limits that do not."""

import errno
import gc
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from surroundings import Processes, eventually

from selfcorrect.grading.sandbox.limits import Limits, Outcome
from selfcorrect.grading.sandbox.pool import (
    Sandbox,
    SandboxProblem,
    UnjudgedError,
    _Worker,
    protection,
)
from selfcorrect.records import ProgramTests

pytestmark = pytest.mark.skipif(
    not protection().safe, reason=f"no safe sandbox here: {protection()}"
)

LIMITS = Limits(cpu_seconds=2, wall_seconds=20, memory=256 * 2**20, output=2**20)
TESTS = ProgramTests("f", "assert f(2) == 4")
RIGHT = "def f(x): return 2 * x"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=LIMITS) as made:
        yield made


def verdict(sandbox: Sandbox, program: str, tests: str = TESTS.code, **settings) -> Outcome:
    return sandbox.run(program, ProgramTests("f", tests, **settings)).outcome


# --- outcomes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "outcome", "reason"),
    [
        (RIGHT, Outcome.PASSED, "all tests passed"),
        ("def f(x): return 5", Outcome.FAILED, "AssertionError in `assert f(2) == 4`"),
        ("def f(x): pass", Outcome.FAILED, "AssertionError in `assert f(2) == 4`"),
        ("\ndef f(x):\n    return x / 0", Outcome.ERROR, "ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name", Outcome.ERROR, "ModuleNotFoundError: No module named 'no"),
        ("def f(x)\n    return 4", Outcome.ERROR, "SyntaxError: expected ':'"),
        ("def f(x):\nreturn 4", Outcome.ERROR, "IndentationError: expected an indented block"),
        ("def g(x): return 4", Outcome.ERROR, "NameError: name 'f' is not defined"),
        ("f = 4", Outcome.ERROR, "TypeError: 'int' object is not callable"),
        ("def f(): return 4", Outcome.ERROR, "TypeError: f() takes 0 positional arguments"),
        ("class E(Exception): pass\ndef f(x): raise E('so')", Outcome.ERROR, "E: so (line 2)"),
        ("import sys\ndef f(x): sys.exit(3)", Outcome.ERROR, "SystemExit: 3 (line 2)"),
        ("import os\ndef f(x): os._exit(3)", Outcome.ERROR, "it ended by itself (exit status 3)"),
        ("import os\ndef f(x): os.abort()", Outcome.ERROR, "crashed (Aborted)"),
        ("import threading as t\ndef f(x): t.Thread(target=print).start()", Outcome.ERROR,
         "RuntimeError: can't start new thread (line 2)"),
        ("def f(x): return f(x)", Outcome.ERROR, "RecursionError: maximum recursion depth"),
        ("def f(x):\n    while True: pass", Outcome.TIMEOUT, "more than 1 s of CPU time"),
        ("def f(x): return [0] * 10**10", Outcome.MEMORY, "MemoryError (line 1)"),
        ("def f(x): return 'x' * 10**7", Outcome.OUTPUT, "an answer of 10000"),
        ("def f(x):\n    while True: print('x')", Outcome.OUTPUT, "more than 1048576 bytes writ"),
        ("import os\ndef f(x): os.fork()", Outcome.FORBIDDEN, "a system call that the sandbox"),
    ],
)  # fmt: skip
def test_outcomes_and_their_reasons(program: str, outcome: Outcome, reason: str) -> None:
    with Sandbox(limits=replace(LIMITS, cpu_seconds=1)) as sandbox:
        result = sandbox.run(program, TESTS)
    assert result.outcome is outcome
    assert reason in result.reason


def test_what_ignores_the_limit_of_cpu_time_is_killed_all_the_same() -> None:
    program = """
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
def f(x):
    while True: pass
"""
    with Sandbox(limits=Limits(cpu_seconds=1, wall_seconds=20)) as sandbox:
        result = sandbox.run(program, TESTS)
    assert result.outcome is Outcome.TIMEOUT
    assert 0.9 < result.cpu_seconds < 3


def test_slow_but_right_passes() -> None:
    program = """
import time
def f(x):
    time.sleep(1.2)
    until = time.process_time() + 0.3
    while time.process_time() < until: pass
    return 2 * x
"""
    with Sandbox(limits=Limits(cpu_seconds=1, wall_seconds=20)) as sandbox:
        result = sandbox.run(program, TESTS)
    assert result.outcome is Outcome.PASSED
    assert 0.25 < result.cpu_seconds < 1


def test_peak_memory_is_told(sandbox: Sandbox) -> None:
    small = sandbox.run(RIGHT, TESTS)
    large = sandbox.run("def f(x): return len(b'x' * 2**26) // 2**24", TESTS)
    assert large.outcome is Outcome.PASSED
    assert 50 * 2**20 < large.peak_memory - small.peak_memory < 100 * 2**20


@pytest.mark.parametrize(
    ("program", "tests", "reason"),
    [
        ("import time\ndef f(x): time.sleep(9)", TESTS.code, "no answer in 0.3 s"),
        (RIGHT, "while True: pass", "the tests took too long"),
    ],
    ids=["program", "tests"],
)
def test_what_does_not_come_to_an_end_is_a_timeout(program: str, tests: str, reason: str) -> None:
    with Sandbox(limits=replace(LIMITS, wall_seconds=0.3)) as sandbox:
        result = sandbox.run(program, ProgramTests("f", tests))
        assert (result.outcome, result.reason) == (Outcome.TIMEOUT, reason)
        assert eventually(lambda: verdict(sandbox, RIGHT) is Outcome.PASSED)


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "raise KeyboardInterrupt", "g(2)"])
def test_tests_that_end_themselves_do_not_pass(sandbox: Sandbox, code: str) -> None:
    assert verdict(sandbox, RIGHT, code) is Outcome.FAILED


@pytest.mark.parametrize(
    ("code", "context", "why"),
    [
        ("assert f(", "", "SyntaxError"),
        ("assert f(2) == 4", "def g(", "SyntaxError"),
        ("assert f(2) == 4", "import nothing_of_that_name", "ModuleNotFoundError"),
        ("assert f(2) == 4", "1 / 0", "ZeroDivisionError"),
        ("assert f(lambda: 2) == 4", "", "they pass a function"),
        ("try: f(lambda: 2)\nexcept Exception: pass", "", "they pass a function"),
    ],
)
@pytest.mark.parametrize("program", [RIGHT, "def f(x): return 5", "def f("])
def test_tests_that_cannot_be_run_are_no_verdict_on_the_program(
    sandbox: Sandbox, program: str, code: str, context: str, why: str
) -> None:
    if program == "def f(" and "lambda" in code:
        pytest.skip("what the tests pass is never looked at")
    with pytest.raises(UnjudgedError, match=f"whatever the program.*{why}.*Mend its record"):
        verdict(sandbox, program, code, context=context)
    assert verdict(sandbox, RIGHT) is Outcome.PASSED


def test_a_program_that_is_killed_from_outside_may_be_run_again() -> None:
    program = "import time\nprint('here')\ndef f(x):\n    time.sleep(5)\n    return 4"
    processes = Processes()
    with Sandbox(limits=LIMITS) as sandbox, ThreadPoolExecutor(1) as threads:
        verdict(sandbox, RIGHT)
        idle = processes.now()
        running = threads.submit(sandbox.run, program, TESTS)
        assert eventually(lambda: len(processes.now() - idle) == 2)
        time.sleep(0.3)
        os.kill(max(processes.now() - idle), signal.SIGKILL)  # the last made: the program's
        result = running.result()
    assert result.outcome is Outcome.ERROR
    assert not result.certain


def test_what_comes_out_the_same_again_is_said_to(sandbox: Sandbox) -> None:
    assert sandbox.run(RIGHT, TESTS).certain
    assert sandbox.run("def f(x): return 5", TESTS).certain
    assert sandbox.run("import os\ndef f(x): os._exit(3)", TESTS).certain
    with Sandbox(limits=replace(LIMITS, cpu_seconds=1)) as short:
        assert not short.run("def f(x):\n    while True: pass", TESTS).certain


@pytest.mark.parametrize("field", ["cpu_seconds", "wall_seconds", "memory", "output"])
def test_limits_of_nothing_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Limits(**{field: 0})


# --- programs that mean well ------------------------------------------------------------------


def right_programs() -> Iterator[object]:
    """Programs with tests that they pass, from a file: ``=== name : the program's own names``."""
    text = Path(__file__).with_name("right_programs.txt").read_text(encoding="utf-8")
    for section in text.split("=== ")[1:]:
        head, _, body = section.partition("\n")
        name, _, own = head.partition(" : ")
        program, _, tests = body.partition("---\n")
        names = tuple(own.split(", ")) if own else ()
        yield pytest.param(program, ProgramTests("f", tests, names=names), id=name)


@pytest.mark.parametrize(("program", "tests"), list(right_programs()))
def test_right_programs_pass(sandbox: Sandbox, program: str, tests: ProgramTests) -> None:
    result = sandbox.run(program, tests)
    assert result.outcome is Outcome.PASSED, result


@pytest.mark.parametrize(
    "program",
    ["def f(x):\r\n    return len('''\r\n''') * 4\r\n", "def f(x):\n\tif x:\n\t\treturn 4\f\n"],
    ids=["carriage returns", "tabs"],
)
def test_programs_may_be_laid_out_in_any_way(sandbox: Sandbox, program: str) -> None:
    assert verdict(sandbox, program) is Outcome.PASSED


def test_names_that_are_not_listed_are_not_taken_from_the_program(sandbox: Sandbox) -> None:
    program = "def f(x): return 5\ndef close(*_): return True\nclass math: isclose = close"
    for tests in ("assert close(f(2), 4)", "assert math.isclose(f(2), 4)"):
        assert verdict(sandbox, program, tests) is Outcome.FAILED


def test_context_defines_what_tests_use_and_the_program_cannot_see(sandbox: Sandbox) -> None:
    context = "LIMIT = 1e-6\ndef close(a, b): return abs(a - b) < LIMIT"
    tests = "assert close(f(2), 4)"
    assert verdict(sandbox, RIGHT, tests, context=context) is Outcome.PASSED
    for program in (
        "def f(x): return 5",
        "def f(x): return LIMIT",
        "LIMIT = 9\ndef f(x): return 5",
    ):
        assert verdict(sandbox, program, tests, context=context) is not Outcome.PASSED


def test_context_does_not_stand_in_for_the_program(sandbox: Sandbox) -> None:
    result = sandbox.run("", ProgramTests("f", TESTS.code, context=RIGHT))
    assert result.outcome is Outcome.ERROR


def test_luck_is_the_same_every_time(sandbox: Sandbox) -> None:
    program = """
import random
def f(x): raise ValueError([random.random(), hash("text"), list({"a", "b", "c"})])
"""
    assert len({sandbox.run(program, TESTS).reason for _ in range(3)}) == 1


def test_files_may_be_written_and_are_gone_afterwards(sandbox: Sandbox) -> None:
    if "namespaces" not in sandbox.protection.standing:
        pytest.skip("without namespaces, programs may not write files")
    program = """
import os, pathlib, shutil, tempfile
def f(x):
    assert os.listdir() == []
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w+") as file:
        path = pathlib.Path(folder, "a"); path.write_text("text"); path.chmod(0o600)
        shutil.copy(path, "copy"); os.rename("copy", "b"); os.mkdir("c")
        file.write("4"); file.seek(0)
        return int(file.read()) if open("b").read() == "text" else 0
"""
    for _ in range(2):
        assert verdict(sandbox, program) is Outcome.PASSED


# --- as in a plain interpreter ----------------------------------------------------------------

ATOMS = st.sampled_from(["x", "y", "0", "1", "2", "-3", "1.5", "'ab'", "''", "[]", "[x, 1]", "None",
                         "True", "{x: y}", "{1, 2}", "(x,)", "b'a'", "1j", "range(3)"])  # fmt: skip
TOTAL = ["[{}, {}]", "({}, {})", "({} == {})", "({} or {})", "({} and {})", "({} is {})",
         "{{'a': {}, 'b': {}}}", "(lambda y: {})({})", "str([{}, {}])"]  # fmt: skip
PARTIAL = ["({} + {})", "({} - {})", "({} * {})", "({} / {})", "({} // {})", "({} % {})",
           "({} < {})", "({} in {})", "({} | {})", "{}[{}]", "[{} for y in {}]", "{{{}: {}}}",
           "({}).append({})", "sorted([{}, {}])", "isinstance({}, type({}))"]  # fmt: skip
FUNCTIONS = ["str", "repr", "bool", "type", "len", "list", "set", "sorted", "sum", "tuple", "dict",
             "int", "float", "abs", "frozenset", "iter", "hash"]  # fmt: skip
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(str.format, st.sampled_from(TOTAL), inner, inner),
        st.builds(str.format, st.sampled_from(TOTAL), inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds(str.format, st.sampled_from(PARTIAL), inner, inner),
        st.builds("{}({})".format, st.sampled_from(FUNCTIONS), inner),
    ),
    max_leaves=5,
)


def plain_verdict(program: str, tests: str) -> Outcome:
    """What comes of program and tests in one interpreter; the tests raise nothing but by assert."""
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(program, names)
            exec(tests, names)
        except AssertionError:
            return Outcome.FAILED
        except Exception:
            return Outcome.ERROR
    return Outcome.PASSED


@settings(max_examples=300)
@given(EXPRESSIONS, EXPRESSIONS, st.sampled_from(["2", "-1", "[3, 1]", "'ba'", "{1: 2}", "True"]))
@example("x", "[x, 1]", "[3, 1]")
def test_verdicts_are_those_of_a_plain_interpreter(
    sandbox: Sandbox, right: str, expected: str, argument: str
) -> None:
    program = f"def f(x):\n    y = 1\n    return {right}"
    # What the tests expect is what a program computes as well, right (first) or not.
    for wanted in (right, expected):
        tests = (
            f"def wanted(x):\n    y = 1\n    try: return {wanted}\n    except Exception: return 0\n"
            f"x = {argument}\nanswer = f(x)\n"
            f"assert answer == wanted({argument}), 'wrong'\nassert x == {argument}, 'changed'"
        )
        plain = plain_verdict(program, tests)
        assert verdict(sandbox, program, tests) is plain, (program, tests)


# --- texts that are no programs ---------------------------------------------------------------

BROKEN = {
    "nothing": "",
    "a null byte": "def f(x): return 4\0",
    "surrogates": "def f(x): return '\ud800'\nf = '\udfff",
    "a cookie of no encoding": "# -*- coding: nothing-of-that-name -*-\ndef f(x): return 5",
    "a cookie of another encoding": "# -*- coding: utf-16 -*-\ndef f(x): return 5",
    "a byte-order mark": "\ufeffdef f(x): return 5",
    "a megabyte": "x = 1\n" * 170_000,
    "a megabyte on one line": "x = '" + "x" * 10**6 + "'",
    "a megabyte of sum": "x = " + "1+" * 500_000 + "1",
    "open parentheses": "(" * 100_000,
    "open brackets": "x = " + "[" * 100_000,
    "closed brackets": "x = " + "[" * 5000 + "]" * 5000,
    "minuses": "x = " + "-" * 100_000 + "1",
    "calls": "x = f" + "()" * 50_000,
    "attributes": "x = f" + ".x" * 50_000,
    "lambdas": "x = " + "lambda:" * 20_000 + "1",
    "nots": "x = " + "not " * 50_000 + "1",
    "nested ifs": "\n".join(" " * depth + "if 1:" for depth in range(10_000)),
    "ifs in a row": "if 0: pass\n" + "elif 0: pass\n" * 20_000,
    "nested f-strings": "x = " + "f'{" * 1000,
    "nested functions": "\n".join(" " * depth + "def g():" for depth in range(90)),
    "a long comparison": "x = " + "1 < " * 100_000 + "1",
    "a huge number": "x = " + "9" * 10**6,
    "a huge power": "x = 9 ** 9 ** 9 ** 9",
    "a huge constant": "x = ((('x' * 4000) * 4000) * 4000) * 4000",
    "braces that backtrack": "x = " + "{" * 60 + "1:1",
    "decorators": "@f\n" * 20_000 + "def g(): pass",
    "globals": "def g():\n    global " + ", ".join(f"x{i}" for i in range(50_000)),
    "arguments": "def g(" + ", ".join(f"x{i}" for i in range(50_000)) + "): pass",
    "a form feed": "\f\f\fdef f(x): return 5",
    "an indentation": "    def f(x): return 5",
    "tabs and blanks": "if 1:\n\tx = 1\n        y = 2",
    "a backslash": "\\",
    "an open text": "'''",
    "the end of all": "\x1a",
    "bidirectional marks": "def f(x): return '\u202e' or 5",
}


@pytest.mark.parametrize("name", BROKEN)
def test_texts_that_are_hardly_programs_do_not_pass(sandbox: Sandbox, name: str) -> None:
    result = sandbox.run(BROKEN[name], TESTS)
    assert result.outcome is not Outcome.PASSED
    result.reason.encode()
    assert verdict(sandbox, RIGHT) is Outcome.PASSED


TEXTS = st.text(st.characters()) | st.lists(
    st.sampled_from(["def f(x):", "return", "\n", " ", "\t", "(", ")", "x", "4", "=", ":", "lambda",
                     "class", "f", "\0", "\ud800", "\r", "'", '"""', "\\", "#", "import os", ";",
                     "raise", "while 0", "async ", "await ", "yield", "*", "**", "@", "f'{"]),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=200)
@given(TEXTS)
def test_arbitrary_texts_are_judged(sandbox: Sandbox, text: str) -> None:
    result = sandbox.run(text, ProgramTests("f", "assert f(2) == 'what no short text returns'"))
    assert result.outcome is not Outcome.PASSED
    result.reason.encode()


# --- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["landlock", "seccomp", "limits"])
def test_a_missing_layer_is_refused_unless_it_is_allowed(layer: str) -> None:
    with pytest.raises(SandboxProblem, match=f"{layer}.*allow_unsafe"):
        Sandbox(without={layer})
    with Sandbox(without={layer}, allow_unsafe=True, limits=LIMITS) as unsafe:
        assert str(unsafe.protection).startswith("UNSAFE: ")
        assert f"without {layer} (left out)" in str(unsafe.protection)
        assert verdict(unsafe, RIGHT) is Outcome.PASSED
        assert verdict(unsafe, "def f(x): return 5") is Outcome.FAILED


REFUSING = """
import ctypes, json, struct, sys
from selfcorrect.grading.sandbox.pool import Sandbox, SandboxProblem, protection

call, first, error = map(int, sys.argv[1:])
load, equal, answer = 0x20, 0x15, 0x06  # of classic BPF
steps = [(load, 0, 0, 0), (equal, 0, 3, call), (load, 0, 0, 16), (equal, 0, 1, first),
         (answer, 0, 0, 0x00050000 | error), (answer, 0, 0, 0x7FFF0000)]
if first < 0:  # whatever its first argument is
    steps[2:4] = [(load, 0, 0, 0), (equal, 0, 1, call)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
found = protection()
try:
    Sandbox()
except SandboxProblem as problem:
    print(problem, file=sys.stderr)
print(json.dumps([found.standing, found.missing]))
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="calls are numbered as on x86-64")
@pytest.mark.parametrize(
    ("call", "error", "layer", "why"),
    [
        ((444, -1), errno.ENOSYS, "landlock", "Function not implemented"),  # create_ruleset
        ((446, -1), 0, "landlock", "a file outside was read"),  # restrict_self, without effect
        ((157, 22), errno.EINVAL, "seccomp", "Invalid argument"),  # prctl(PR_SET_SECCOMP)
        ((157, 22), 0, "seccomp", "a socket was opened"),
        ((272, -1), errno.EPERM, "namespaces", "Operation not permitted"),  # unshare
    ],
)
def test_a_layer_that_the_kernel_refuses_or_only_pretends_is_named(call, error, layer, why) -> None:
    if layer not in protection().standing:
        pytest.skip(f"this machine has no {layer}")
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, *map(str, (*call, error))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    standing, missing = json.loads(done.stdout)
    assert layer not in standing and why in missing[layer]
    others = set(protection().standing) - {layer}
    assert set(standing) == others
    if layer != "namespaces":
        assert f"({layer}: " in done.stderr and "data.sandbox.allow_unsafe: true" in done.stderr


def test_limits_that_are_left_out_do_not_hold() -> None:
    hungry = "def f(x): return len(bytearray(2**29)) // 2**27"
    with Sandbox(limits=LIMITS) as sandbox:
        assert verdict(sandbox, hungry) is Outcome.MEMORY
    with Sandbox(without={"limits"}, allow_unsafe=True, limits=LIMITS) as unsafe:
        assert verdict(unsafe, hungry) is Outcome.PASSED


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDONLY | os.O_CREAT])
def test_without_a_landlock_that_knows_of_it_nothing_is_emptied(tmp_path: Path, flags: int) -> None:
    """That of Linux before 6.2 does not: it guards what may be read against writing alone."""
    path = tmp_path / "canary"
    path.write_text("here")
    program = f"import os\ndef f(x): return os.open({str(path)!r}, {flags | os.O_TRUNC}) and 4"
    without = {"landlock", "namespaces"}
    with Sandbox(without=without, allow_unsafe=True, limits=LIMITS) as unsafe:
        assert verdict(unsafe, program) is Outcome.FORBIDDEN
        assert path.read_text() == "here"
        assert verdict(unsafe, program.replace(str(flags | os.O_TRUNC), "0")) is Outcome.PASSED


def test_namespaces_are_not_required() -> None:
    standing = protection(frozenset({"namespaces"}))
    assert standing.safe
    assert not str(standing).startswith("UNSAFE")
    assert "namespaces (left out)" in str(standing)


def test_layers_that_there_are_not_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="namespace"):
        Sandbox(without={"namespace"})


# --- workers ----------------------------------------------------------------------------------

LAYERS = pytest.mark.parametrize("without", [[], ["namespaces"]], ids=["all", "fewer"])
MIXED = [
    (RIGHT, Outcome.PASSED),
    ("def f(x): return 5", Outcome.FAILED),
    ("def f(x): raise ValueError", Outcome.ERROR),
    ("import os\ndef f(x): os._exit(0)", Outcome.ERROR),
    ("import socket\ndef f(x): socket.socket()", Outcome.FORBIDDEN),
    ("def f(x): return bytes(10**11)", Outcome.MEMORY),
    ("import os\ndef f(x):\n    while True: os.write(1, bytes(10**6))", Outcome.OUTPUT),
    ("import time\ndef f(x): time.sleep(0.02); return 4", Outcome.PASSED),
    ("import os, signal\ndef f(x): signal.raise_signal(9)", Outcome.ERROR),
    ("import os\nos.close(3)", Outcome.ERROR),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sandboxes keep their folders during a test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_many_threads_get_every_verdict_right_and_leave_nothing(folder: Path) -> None:
    processes = Processes()
    before = processes.now()
    jobs = MIXED * 12
    with Sandbox(workers=2, limits=LIMITS) as sandbox, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda job: verdict(sandbox, job[0]), jobs))
        at_work = processes.now()
        again = sandbox.run_all([(program, TESTS) for program, _ in jobs])
    assert found == [outcome for _, outcome in jobs]
    assert [result.outcome for result in again] == found
    assert len(at_work) > len(before)
    assert eventually(lambda: processes.now() <= before)
    assert list(folder.iterdir()) == []


def test_no_more_programs_run_at_a_time_than_there_are_workers() -> None:
    program = "import time\ndef f(x): time.sleep(0.1); return 4"
    with Sandbox(workers=2, limits=LIMITS) as sandbox:
        sandbox.run_all([(RIGHT, TESTS)] * 4)  # starts the workers
        started = time.monotonic()
        results = sandbox.run_all([(program, TESTS)] * 4)
        took = time.monotonic() - started
    assert {result.outcome for result in results} == {Outcome.PASSED}
    assert took > 0.2


def test_a_worker_outlives_the_thread_that_started_it() -> None:
    found: list[Outcome] = []
    processes = Processes()
    with Sandbox(limits=LIMITS) as sandbox:
        seen = []
        for _ in range(3):
            thread = threading.Thread(target=lambda: found.append(verdict(sandbox, RIGHT)))
            thread.start()
            thread.join()
            seen.append(processes.now())
    assert found == [Outcome.PASSED] * 3
    assert seen[0] == seen[1] == seen[2]


@LAYERS
def test_a_worker_that_was_killed_is_replaced(without: list[str], folder: Path) -> None:
    processes = Processes()
    before = processes.now()
    with Sandbox(limits=LIMITS, without=without) as sandbox:
        for chosen in (min, max):
            assert verdict(sandbox, RIGHT) is Outcome.PASSED
            os.kill(chosen(processes.now() - before), signal.SIGKILL)
            assert verdict(sandbox, RIGHT) is Outcome.PASSED
            assert verdict(sandbox, "def f(x): return 5") is Outcome.FAILED
    assert eventually(lambda: processes.now() <= before)
    assert list(folder.iterdir()) == []


def test_a_program_that_no_worker_outlives_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    once = _Worker._once
    monkeypatch.setattr(
        _Worker, "_once", lambda self, *of: None if "fatal" in of[0] else once(self, *of)
    )
    with Sandbox(limits=LIMITS) as sandbox:
        result = sandbox.run("fatal = 1", TESTS)
        assert (result.outcome, result.certain) == (Outcome.ERROR, False)
        assert verdict(sandbox, RIGHT) is Outcome.PASSED
        monkeypatch.setattr(_Worker, "_once", lambda *_: None)
        with pytest.raises(UnjudgedError, match="Look for what this machine has run out of"):
            sandbox.run(RIGHT, TESTS)


def test_a_worker_that_dies_at_its_start_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    popen, started = subprocess.Popen, []

    def first_dies(command, **how):
        started.append(command)
        dies = [*command[:-2], "raise SystemExit('out of luck')", command[-1]]
        return popen(dies if len(started) == 1 else command, **how)

    with Sandbox(limits=LIMITS) as sandbox:
        monkeypatch.setattr(subprocess, "Popen", first_dies)
        assert verdict(sandbox, RIGHT) is Outcome.PASSED
        assert len(started) == 2


def test_a_machine_on_which_no_worker_starts_is_told_with_the_last_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: popen(
        [*command[:-2], "raise SystemExit('out of luck')", command[-1]], **how))  # fmt: skip
    with Sandbox(limits=LIMITS) as sandbox, pytest.raises(UnjudgedError, match="out of luck"):
        sandbox.run(RIGHT, TESTS)


def test_a_worker_that_is_killed_while_it_works_makes_no_verdict(folder: Path) -> None:
    processes = Processes()
    before = processes.now()
    with Sandbox(limits=LIMITS) as sandbox, ThreadPoolExecutor(1) as threads:
        assert verdict(sandbox, RIGHT) is Outcome.PASSED
        idle = processes.now()
        busy = threads.submit(verdict, sandbox, "import time\ndef f(x): time.sleep(0.3); return 5")
        assert eventually(lambda: len(processes.now()) > len(idle))
        for pid in idle - before:
            os.kill(pid, signal.SIGKILL)
        assert busy.result(10) is not Outcome.PASSED
        assert verdict(sandbox, RIGHT) is Outcome.PASSED


def test_a_sandbox_that_nobody_holds_cleans_up(folder: Path) -> None:
    processes = Processes()
    before = processes.now()
    sandbox = Sandbox(workers=2, limits=LIMITS)
    sandbox.run_all([(RIGHT, TESTS)] * 4)
    assert len(processes.now()) > len(before)
    del sandbox
    gc.collect()
    assert eventually(lambda: processes.now() <= before)
    assert list(folder.iterdir()) == []


def test_a_closed_sandbox_starts_nothing(folder: Path) -> None:
    sandbox = Sandbox(limits=LIMITS)
    assert verdict(sandbox, RIGHT) is Outcome.PASSED
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxProblem, match="closed"):
        sandbox.run(RIGHT, TESTS)
    assert list(folder.iterdir()) == []


def test_closing_ends_what_still_runs(folder: Path) -> None:
    processes = Processes()
    before = processes.now()
    sandbox = Sandbox(limits=LIMITS)
    with ThreadPoolExecutor(1) as threads:
        verdict(sandbox, RIGHT)
        idle = processes.now()
        busy = threads.submit(verdict, sandbox, "import time\ndef f(x): time.sleep(15)")
        assert eventually(lambda: len(processes.now()) > len(idle))
        started = time.monotonic()
        sandbox.close()
        with pytest.raises(SandboxProblem, match="closed"):
            busy.result(10)
        assert time.monotonic() - started < 5
    assert eventually(lambda: processes.now() <= before)
    assert list(folder.iterdir()) == []


def test_a_failure_of_the_machine_is_no_verdict(folder: Path) -> None:
    with Sandbox(limits=LIMITS, without={"namespaces"}) as sandbox:
        assert verdict(sandbox, RIGHT) is Outcome.PASSED
        for path in folder.iterdir():  # as those do who clean up temporary files
            shutil.rmtree(path)
        assert verdict(sandbox, RIGHT) is Outcome.PASSED


PRELUDE = """
import json, os, signal, sys, threading, time
from selfcorrect.grading.sandbox.limits import Limits
from selfcorrect.grading.sandbox.pool import Sandbox
from selfcorrect.records import ProgramTests
without, busy = json.loads(sys.argv[1])
limits = Limits(cpu_seconds=2, wall_seconds=2)
right, tests = "def f(x): return 2 * x", ProgramTests("f", "assert f(2) == 4")
"""


def outcomes_in_a_process_of_its_own(program: str, without: list[str]) -> list[str]:
    """What it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, json.dumps([without, False])],
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


@LAYERS
def test_a_childs_end_is_not_its_parents(without: list[str]) -> None:
    program = """
sandbox = Sandbox(limits=limits, without=without)
print(sandbox.run(right, tests).outcome.name, flush=True)
if os.fork() == 0: sys.exit()
os.wait()
print(sandbox.run(right, tests).outcome.name)
"""
    assert outcomes_in_a_process_of_its_own(program, without) == ["PASSED", "PASSED"]


@LAYERS
def test_signals_that_the_parent_blocks_are_not_blocked_in_the_sandbox(without: list[str]) -> None:
    program = """
signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
for number in (signal.SIGALRM, signal.SIGXCPU): signal.signal(number, signal.SIG_IGN)
with Sandbox(limits=limits, without=without) as sandbox:
    started = time.monotonic()
    slow = ProgramTests("f", "import time; time.sleep(60)")
    print(sandbox.run(right, slow).outcome.name, time.monotonic() - started < 5)
    print(sandbox.run("def f(x): __import__('signal').raise_signal(14)", tests).reason)
"""
    assert outcomes_in_a_process_of_its_own(program, without) == [
        "TIMEOUT", "True", "crashed", "(Alarm", "clock)",
    ]  # fmt: skip


KILLED = """
sandbox = Sandbox(workers=2, limits=limits, without=without)
sandbox.run_all([(right, tests)] * 4)
if busy:
    program = "import time\\ndef f(x): time.sleep(60)"
    threading.Thread(target=sandbox.run_all, args=([(program, tests)] * 2,), daemon=True).start()
    time.sleep(0.3)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@LAYERS
def test_nothing_is_left_of_a_parent_that_is_killed(
    without: list[str], busy: bool, tmp_path: Path
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + KILLED, json.dumps([without, busy])],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    processes = Processes(parent.pid)
    assert processes.now()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not processes.now())
    assert eventually(lambda: list(tmp_path.iterdir()) == [])
