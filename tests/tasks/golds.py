"""The real benchmarks' files, and their gold programs run against their tests."""

import json
import subprocess
import sys
from collections.abc import Iterable

from selfcorrect.records import Problem

# Trusted programs only: no sandbox. One process for all, as starting one costs more than a program.
RUN = """
import json, sys
for id, *sources in json.load(sys.stdin):
    names = {"__name__": "program"}
    try:
        for source in sources:
            exec(source, names)
    except Exception as error:
        print(f"{id}: {type(error).__name__}: {error}")
"""

# How models present a program, here for texts that are sure to be right.
WRAPPINGS = {
    "raw": "{}",
    "Windows": "{}",
    "markers": "[BEGIN]\n{}\n[DONE]",
    "fence": "Sure! Here is the corrected program:\n```python\n{}\n```\nIt's right, I hope.",
    "open fence": "```python\n{}",
    "prose": "Here is the corrected program:\n\n{}\n\nIt works:\n1. It's simple.\n- Done",
    "next shot": "{}\n[DONE]\n\nYou are an expert.\n[BEGIN]\ndef g(x):\n  return x\n[DONE]",
}


def wrapped(program: str, wrapping: str) -> str:
    text = WRAPPINGS[wrapping].replace("{}", program)
    return text.replace("\n", "\r\n") if wrapping == "Windows" else text


def failures(programs: Iterable[tuple[Problem, str | None]]) -> list[str]:
    """What goes wrong when each program is run between its problem's context and its tests."""
    executions = [
        (problem.id, problem.tests.context, program, problem.tests.code)
        for problem, program in programs
    ]
    run = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(executions),
        capture_output=True,
        text=True,
        timeout=300,
    )
    return (run.stdout + run.stderr).splitlines()
