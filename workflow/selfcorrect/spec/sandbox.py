"""The config section of a task whose answers are programs: what a program may use."""

from pydantic import Field

from selfcorrect.spec.kinds import Count
from selfcorrect.validation import Strict


class SandboxLimits(Strict):
    """Bounds of one execution of a program with its tests."""

    cpu_seconds: Count = Field(description="CPU time of the program; more is a `timeout`")
    wall_seconds: float = Field(
        gt=0, description="time of program and tests by the clock, for a machine that is busy"
    )
    memory_mb: Count = Field(description="memory of the program, in MiB")
    output_mb: Count = Field(
        description="MiB written to standard output, to a file or as an answer"
    )
    allow_unsafe: bool = Field(
        description="run programs even where the system lacks the layers that keep them in; "
        "every result then says so"
    )
