"""The config section that says which problems there are: of one kind of task."""

from typing import Annotated

from pydantic import Field

from selfcorrect.spec.carry import CarryProblems
from selfcorrect.spec.mathematics import GSM8KProblems, MathProblems
from selfcorrect.spec.precedence import PrecedenceProblems
from selfcorrect.spec.programs import HumanEvalProblems, MBPPProblems

Problems = Annotated[
    CarryProblems
    | PrecedenceProblems
    | MathProblems
    | GSM8KProblems
    | MBPPProblems
    | HumanEvalProblems,
    Field(discriminator="kind"),
]
