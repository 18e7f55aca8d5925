"""What a program may use, what came of it, and what its tests' process reports."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a program fared; only ``PASSED`` means that every test was run and passed."""

    PASSED = "passed"
    FAILED = "failed"  # a test was not passed
    ERROR = "error"  # the program raised, crashed, ended itself, or does not compile
    TIMEOUT = "timeout"
    MEMORY = "out of memory"
    OUTPUT = "output limit"
    FORBIDDEN = "forbidden"  # it tried what the sandbox does not allow


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one execution.

    ``cpu_seconds``: of the program. ``wall_seconds``: of program and tests, on a machine that may
    be busy. ``memory``: bytes of address space beyond the interpreter's. ``output``: bytes written
    to standard output and to any one file, and of any one answer to the tests.
    """

    cpu_seconds: int = 20
    wall_seconds: float = 60.0
    memory: int = 512 * 2**20
    output: int = 16 * 2**20

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be more than 0, not {value}")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one execution: why, and the program's CPU seconds and peak memory in bytes.

    ``certain``: it would come out again; False where the machine may have had a part in it.
    """

    outcome: Outcome
    reason: str
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    certain: bool = True

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> "Result":
        """The result in a report of the tests' process."""
        return cls(**{**message, "outcome": Outcome(message["outcome"])})
