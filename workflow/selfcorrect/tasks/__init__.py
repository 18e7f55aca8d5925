"""The registry of tasks: a config's ``data`` section in, the task out."""

from selfcorrect.spec import CarryCorpus, CarryProblems
from selfcorrect.tasks.carry import Carry
from selfcorrect.tasks.task import Document, Split, Task, Testbed, grade_traces

__all__ = ["Document", "Split", "Task", "Testbed", "grade_traces", "make_task", "make_testbed"]


def make_task(data: CarryProblems) -> Task:
    """The task that a config's ``data`` section describes."""
    return Carry(data)


def make_testbed(data: CarryProblems, corpus: CarryCorpus) -> Testbed:
    """The task together with the corpus of its base model."""
    return Carry(data, corpus)
