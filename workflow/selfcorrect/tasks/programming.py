"""What tasks have in common whose answers are programs: they are graded by execution."""

from selfcorrect.grading.programs import Extract, ProgramGrader, Workplace
from selfcorrect.spec.sandbox import SandboxLimits
from selfcorrect.tasks.graded import GradedTask


class ProgramTask(GradedTask):
    """A task whose attempts are graded by running the program in them."""

    def __init__(self, program: Extract, limits: SandboxLimits, workplace: Workplace) -> None:
        super().__init__(ProgramGrader(program, limits, workplace))
