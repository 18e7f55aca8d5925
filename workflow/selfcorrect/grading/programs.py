"""Grade programs by their tests: each distinct one is executed once, in the sandbox."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from selfcorrect.codehash import code_hash
from selfcorrect.grading import extraction
from selfcorrect.grading.executions import Execution, Executions
from selfcorrect.grading.sandbox.limits import Limits, Outcome, Result
from selfcorrect.grading.sandbox.pool import Sandbox, SandboxProblem, UnjudgedError
from selfcorrect.records import Grade, Problem, Submission, Verdict
from selfcorrect.spec.sandbox import SandboxLimits

VERSION = "programs/2"
AT_A_TIME = 500  # executions whose results are kept together

VERDICTS = {
    Outcome.PASSED: Verdict.RIGHT,
    Outcome.FAILED: Verdict.WRONG,
    Outcome.ERROR: Verdict.ERROR,
    Outcome.TIMEOUT: Verdict.TIMEOUT,
    Outcome.MEMORY: Verdict.MEMORY,
    Outcome.OUTPUT: Verdict.OUTPUT,
    Outcome.FORBIDDEN: Verdict.FORBIDDEN,
}

# The program in an attempt's text, or None where there is none to be read.
Extract = Callable[[Problem, str], str | None]


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where programs are executed: how many at a time, and the file of results to share."""

    workers: int = 1
    executions: Path | None = None


HERE = Workplace()


class ProgramGrader:
    """Grades the attempts of one task; the sandbox starts with the first program."""

    def __init__(self, extract: Extract, limits: SandboxLimits, workplace: Workplace) -> None:
        self._extract = extract
        self._settings = limits
        self._workplace = workplace

    @cached_property
    def _sandbox(self) -> Sandbox:
        settings = self._settings
        limits = Limits(
            cpu_seconds=settings.cpu_seconds,
            wall_seconds=settings.wall_seconds,
            memory=settings.memory_mb * 2**20,
            output=settings.output_mb * 2**20,
        )
        return Sandbox(self._workplace.workers, limits, allow_unsafe=settings.allow_unsafe)

    @cached_property
    def _executions(self) -> Executions:
        sandbox = self._sandbox
        grader = f"{VERSION} {code_hash('grading.programs')}"
        standing = sandbox.protection.standing
        return Executions(self._workplace.executions, grader, standing, sandbox.limits)

    @property
    def version(self) -> str:
        """The grader's version and what programs were run behind; "UNSAFE" if it was too little."""
        return f"{VERSION} ({self._sandbox.protection})"

    def grade(self, submissions: Sequence[Submission]) -> list[Grade]:
        """The verdict on each.

        Raises:
            SandboxProblem: this machine cannot run programs safely, or not those of a problem.
        """
        programs = [None if _cut(of) else self._program(of) for of in submissions]
        try:
            results = self._results([execution for execution in programs if execution is not None])
        except UnjudgedError as error:
            of = submissions[programs.index(error.execution)]
            raise SandboxProblem(f"problem {of.problem.id!r}: {error}") from error
        return [
            self._grade(submission, execution, results)
            for submission, execution in zip(submissions, programs, strict=True)
        ]

    def _program(self, submission: Submission) -> Execution | None:
        tests = submission.problem.tests
        if tests is None:
            raise ValueError(f"problem {submission.problem.id!r} has no tests")
        program = self._extract(submission.problem, submission.text)
        return None if program is None else (program, tests)

    def _results(self, executions: Sequence[Execution]) -> dict[Execution, Result]:
        distinct = {self._executions.key(each): each for each in executions}
        results = self._executions.find(distinct)
        new = [key for key in distinct if key not in results]
        for start in range(0, len(new), AT_A_TIME):
            keys = new[start : start + AT_A_TIME]
            ran = self._sandbox.run_all([distinct[key] for key in keys])
            fresh = dict(zip(keys, ran, strict=True))
            self._executions.keep(fresh)
            results |= fresh
        return {execution: results[key] for key, execution in distinct.items()}

    def _grade(
        self, submission: Submission, execution: Execution | None, results: dict[Execution, Result]
    ) -> Grade:
        if _cut(submission):
            return Grade(Verdict.TRUNCATED, None)
        if execution is None:
            return Grade(Verdict.UNPARSED, None)
        result = results[execution]
        return Grade(VERDICTS[result.outcome], execution[0], result.reason)


def _cut(submission: Submission) -> bool:
    """Whether an attempt ran into the token limit before it said that it was done."""
    return submission.truncated and not extraction.done(submission.text)
