"""Made-up grades and jobs, small enough to count by hand."""

from collections.abc import Sequence
from typing import get_args

from selfcorrect.reporting import MethodRow, ReportJob, Shown


def attempt_rows(
    traces: Sequence[str], decoding: str = "greedy", samples: int = 1, grader: str = "digits/1"
) -> list[dict]:
    """Rows of a grades table: a trace is a string of verdicts, one letter a turn.

    Trace i belongs to problem i // samples. Attempts with the same verdict have the same text.
    """
    verdicts = {
        "r": "right", "w": "wrong", "u": "unparsed", "t": "truncated",
        "f": "timeout", "m": "out of memory",
    }  # fmt: skip
    return [
        {
            "problem": f"p{index // samples:04d}",
            "question": f"what is {index // samples}?",
            "level": "5",
            "decoding": decoding,
            "sample": index % samples,
            "turn": turn,
            "text": letter,
            "answer": None if letter in "ut" else letter,
            "gold": "r",
            "tokens": 8,
            "truncated": letter == "t",
            "verdict": verdicts[letter],
            "grader": grader,
            "error": "none" if letter == "r" else "slip",
        }
        for index, trace in enumerate(traces)
        for turn, letter in enumerate(trace, start=1)
    ]


def make_job(
    tasks: Sequence[str] = ("carry",), seeds: Sequence[int] = (0,), programming: Sequence[str] = ()
) -> ReportJob:
    rows = (
        MethodRow(name="base", label="Base", tables=("main", "ablations")),
        MethodRow(name="single_turn_rl", label="Single-turn RL", tables=("main", "ablations")),
        MethodRow(name="score", label="SCoRe, β & γ", tables=("main", "ablations")),
        MethodRow(name="stage1", label="Multi-turn RL, r(y1) + r(y2)", tables=("main",)),
    )
    chains = (("single_turn_rl",), ("stage1",), ("stage1", "score"))
    return ReportJob(
        tasks=tuple(tasks), programming=tuple(programming),
        temperatures=dict.fromkeys(tasks, 0.7), seeds=tuple(seeds),
        methods=rows, trained={}, chains=chains,
        voting_temperatures=dict.fromkeys(tasks, 0.7), sweeps={},
        shown={view: dict.fromkeys(tasks, ()) for view in get_args(Shown)},
        windows={task: {} for task in tasks},
    )  # fmt: skip
