"""Comparing final answers, beside math-verify called as it is.

    python benchmarks/final_answers.py math/train.jsonl math/test.jsonl     # half a minute

Pairs of MATH's gold answers (in the last boxes of the files' solutions): each with itself, which is
right, and with another problem's, which is nearly always wrong and has to be read as an expression.
Ours compares in a process that can be killed; the peer in this one, without a limit.
"""

import argparse
import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

import timing
from math_verify import LatexExtractionConfig, parse, verify

from selfcorrect.grading.mathematics.final_answer import last_box
from selfcorrect.grading.mathematics.judge import MathGrader


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="MATH's files of JSON lines")
    parser.add_argument("--pairs", type=int, default=500, help="of each kind in a round")
    parser.add_argument("--rounds", type=int, default=5, help="times that each side is measured")
    arguments = parser.parse_args()
    lines = [line for file in arguments.files for line in file.read_text().splitlines()]
    golds = [last_box(json.loads(line)["solution"]) for line in lines]
    answers = [gold for gold in golds if gold]
    print(timing.machine(), f"{len(answers)} gold answers", sep="\n", end="\n\n")
    logging.disable()

    rng = random.Random(0)
    rates: dict[tuple[str, str], list[float]] = {}
    right: dict[tuple[str, str], int] = {}
    for _ in range(arguments.rounds):
        drawn = rng.sample(answers, min(arguments.pairs, len(answers)))
        for kind, others in (("itself", drawn), ("another", drawn[1:] + drawn[:1])):
            pairs = list(zip(drawn, others, strict=True))
            grader = MathGrader()
            grader.compare("x^2-1", "(x-1)(x+1)")  # starts the process
            for side, same in (("ours", grader_says(grader)), ("math-verify", peer_says)):
                began = time.perf_counter()
                count = sum(same(*pair) for pair in pairs)
                spent = time.perf_counter() - began
                rates.setdefault((kind, side), []).append(len(pairs) / spent)
                right[kind, side] = right.get((kind, side), 0) + count
            grader.close()
    rows = [
        [kind, side, timing.spread(values, 0), f"{right[kind, side]}"]
        for (kind, side), values in rates.items()
    ]
    print(timing.table(["with", "side", "pairs per second", "right"], rows))


def grader_says(grader: MathGrader) -> Callable[[str, str], bool]:
    """Our verdict on a pair."""
    return lambda gold, answer: grader.compare(gold, answer) == "right"


def peer_says(gold: str, answer: str) -> bool:
    """math-verify's verdict on a pair."""
    read = [
        parse(f"${text}$", [LatexExtractionConfig()], parsing_timeout=None)
        for text in (gold, answer)
    ]
    return bool(verify(*read, timeout_seconds=None))


if __name__ == "__main__":
    main()
