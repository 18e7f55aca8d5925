"""The registry of tasks: a config's ``data`` section in, the task out."""

from typing import Any

from selfcorrect.grading.programs import Workplace
from selfcorrect.spec import Corpus, PrecedenceProblems, Problems
from selfcorrect.tasks.carry import Carry
from selfcorrect.tasks.precedence import Precedence
from selfcorrect.tasks.task import Document, Split, Task, Testbed, grade_traces

HERE = Workplace()

__all__ = ["Document", "Split", "Task", "Testbed", "grade_traces", "make_task", "make_testbed"]


def make_task(data: Problems, workplace: Workplace = HERE) -> Task:
    """The task that a config's ``data`` section describes; ``workplace`` is where programs run."""
    return _task(data, None, workplace)


def make_testbed(data: Problems, corpus: Corpus) -> Testbed:
    """The task together with the corpus of its base model."""
    return _task(data, corpus, HERE)


def _task(data: Problems, corpus: Any, workplace: Workplace) -> Any:
    if isinstance(data, PrecedenceProblems):
        return Precedence(data, corpus, workplace)
    return Carry(data, corpus)
