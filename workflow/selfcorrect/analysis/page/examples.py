"""Traces to read: attempts side by side, their difference marked."""

import re
from collections.abc import Hashable, Iterator, Mapping
from difflib import SequenceMatcher
from html import escape
from typing import NamedTuple

import pandas as pd

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.results import Place
from selfcorrect.records import Verdict

SHOWN = ("base", "self_refine", "star_d_plus", "pair_sft_d_plus", "single_turn_rl",
         "multi_turn_rl_sum", "score")  # fmt: skip
OUTCOMES = {
    "corrected": "wrong, then right",
    "broken": "right, then wrong",
    "copied": "the same again",
    "changed": "another attempt, no better and no worse",
}
EACH = 3  # traces of an outcome, at most
LETTERS = 120  # texts up to this length are compared letter by letter, longer ones word by word


class Example(NamedTuple):
    """A trace; texts are HTML with what differs in ``del`` and ``ins``."""

    task: str
    method: str
    outcome: str
    question: str
    first: str
    second: str
    verdicts: tuple[str, str]
    gold: str


def examples(evidence: Evidence) -> Iterator[Example]:
    """Greedy traces of some methods, of each one's first seed, a few of each outcome."""
    report = evidence.report
    methods = [row for row in report.spec.methods if row.name in SHOWN] or report.spec.methods
    for task in report.spec.tasks:
        for row in methods:
            places = (Place(task, row.name, seed) for seed in report.spec.seeds)
            found = next((evidence.grades[place] for place in places if place in evidence.grades),
                         None)  # fmt: skip
            if found is not None:
                yield from _of_method(found.attempts, task, row.label)


def _of_method(attempts: pd.DataFrame, task: str, label: str) -> Iterator[Example]:
    rows = attempts[(attempts["decoding"] == "greedy") & (attempts["turn"] <= 2)]
    left = dict.fromkeys(OUTCOMES, EACH)
    firsts, seconds = (
        rows[rows["turn"] == turn].sort_values("problem").to_dict("records") for turn in (1, 2)
    )
    for first, second in zip(firsts, seconds, strict=True):
        kind = outcome(first, second)
        if left[kind] == 0:
            continue
        left[kind] -= 1
        one, other = marked(first["text"], second["text"])
        verdicts = first["verdict"], second["verdict"]
        yield Example(task, label, kind, first["question"], one, other, verdicts, first["gold"])
        if not any(left.values()):
            return


def outcome(first: Mapping[Hashable, str], second: Mapping[Hashable, str]) -> str:
    """What a revision did."""
    right = [attempt["verdict"] == Verdict.RIGHT.value for attempt in (first, second)]
    if right[0] != right[1]:
        return "corrected" if right[1] else "broken"
    return "copied" if first["text"] == second["text"] else "changed"


def marked(first: str, second: str) -> tuple[str, str]:
    """Both texts as HTML: what the first has alone in ``del``, what the second has in ``ins``."""
    fine = max(len(first), len(second)) <= LETTERS
    one, other = (list(text) if fine else re.findall(r"\s+|\w+|[^\w\s]", text)
                  for text in (first, second))  # fmt: skip
    parts: tuple[list[str], list[str]] = ([], [])
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        for pieces, name, into in ((one[a:b], "del", parts[0]), (other[c:d], "ins", parts[1])):
            text = escape("".join(pieces))
            into.append(text if tag == "equal" or not text else f"<{name}>{text}</{name}>")
    return "".join(parts[0]), "".join(parts[1])
