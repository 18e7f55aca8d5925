"""What a step's digest is of: all code that can change what it writes."""

import ast

import pytest

from selfcorrect.codehash import PACKAGE, closure, code_hash, source


def test_a_step_depends_on_what_its_imports_import():
    assert {"steps.grade", "tasks", "grading.mathematics.judge"} <= closure("steps.grade")
    with pytest.raises(ValueError, match=r"no module 'steps\.nothing'"):
        closure("steps.nothing")


@pytest.mark.parametrize("step", ["grade", "select", "reinforce"])
def test_what_another_process_runs_for_a_step_counts(step):
    """Answers in mathematics are compared, and programs executed, by processes of their own."""
    there = closure(f"steps.{step}")
    assert {"grading.mathematics.server", "grading.mathematics.equality",
            "grading.mathematics.quantities", "grading.sandbox.server"} <= there  # fmt: skip


def test_every_program_held_as_text_is_followed():
    boots = [
        (path, node.value)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        and node.value.partition("from selfcorrect.")[2].partition(" ")[2].startswith("import main")
    ]  # fmt: skip
    assert len(boots) == 2
    for path, text in boots:
        module = text.partition("from selfcorrect.")[2].partition(" ")[0]
        own = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        assert source(module) is not None and module in closure(own)


def test_the_digest_is_of_the_text():
    assert code_hash("steps.grade") != code_hash("steps.select")
    assert len(code_hash("steps.grade")) == 16
