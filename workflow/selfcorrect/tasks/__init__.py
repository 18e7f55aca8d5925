"""The registry of tasks: a config's ``data`` section in, the task out."""

from typing import Any

from selfcorrect.grading.programs import HERE, Workplace
from selfcorrect.spec import (
    CarryProblems,
    Corpus,
    GSM8KProblems,
    HumanEvalProblems,
    MathProblems,
    MBPPProblems,
    PrecedenceProblems,
    Problems,
)
from selfcorrect.tasks.carry import Carry
from selfcorrect.tasks.gsm8k import GSM8K
from selfcorrect.tasks.humaneval import HumanEval
from selfcorrect.tasks.math import Math
from selfcorrect.tasks.mbpp import MBPP
from selfcorrect.tasks.precedence.task import Precedence
from selfcorrect.tasks.task import Document, Split, Task, Testbed, grade_traces

__all__ = ["Document", "Split", "Task", "Testbed", "grade_traces", "make_task", "make_testbed"]


def make_task(data: Problems, workplace: Workplace = HERE) -> Task:
    """The task that a config's ``data`` section describes; ``workplace`` is where programs run."""
    return _task(data, None, workplace)


def make_testbed(data: Problems, corpus: Corpus) -> Testbed:
    """The task together with the corpus of its base model."""
    return _task(data, corpus, HERE)


def _task(data: Problems, corpus: Any, workplace: Workplace) -> Any:
    match data:
        case CarryProblems():
            return Carry(data, corpus)
        case PrecedenceProblems():
            return Precedence(data, corpus, workplace)
        case MathProblems():
            return Math(data)
        case GSM8KProblems():
            return GSM8K(data)
        case MBPPProblems():
            return MBPP(data, workplace)
        case HumanEvalProblems():
            return HumanEval(data, workplace)
