"""The tables' numbers for machines: every metric with its interval and its value in each seed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from selfcorrect import paper
from selfcorrect.analysis.claims import Finding
from selfcorrect.analysis.metrics import PAPER_METRICS
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.summary import Report, Summary, most_turns

_METRICS = (*PAPER_METRICS, "same", "truncated")
_IDENTITY = ("task", "method", "label", "decoding", "n", "samples", "seeds")


def comparison_csv(
    report: Report,
    shown: Sequence[Summary],
    of_paper: Mapping[str, paper.Row],
    reference: str = "base",
) -> pd.DataFrame:
    """One row per task, method and decoding; percent of problems, and p-values in 0..1.

    ``X``, ``X_low``, ``X_high``: a metric and its 95 % interval; ``X_per_seed``: a JSON list in
    the order of ``seeds``. ``tN_vs_base``: difference to the base's, likewise, with ``_p``. With
    another ``reference``, ``tN_vs_<reference>`` too; p as they are, not corrected for their number.
    ``paper_X``: the paper's number, which is greedy. ``repair``: second attempts that are right
    after another writer's wrong program, where the task has such (the paper's MBPP-R).
    """
    against = [f"{turn}_vs_{name}" for name in dict.fromkeys(("base", reference))
               for turn in ("t1", "t2")]  # fmt: skip
    names = [*_METRICS, *against]
    columns = [
        *_IDENTITY,
        *(column for name in names for column in _estimate_columns(name)),
        *(f"{name}{end}" for name in against for end in ("_p", "_p_per_seed")),
        "truncated_attempts",
        *(f"paper_{name}" for name in PAPER_METRICS),
    ]
    rows = [_comparison_row(summary, of_paper) for summary in shown]
    repairs = [report.repair(summary) for summary in shown]
    if any(repair is not None for repair in repairs):
        columns += [*_estimate_columns("repair"), "paper_mbpp_r"]
        for row, summary, repair in zip(rows, shown, repairs, strict=True):
            if repair is not None and summary.decoding == "greedy":
                theirs = of_paper.get(summary.method.name)
                row |= _estimate("repair", repair.metrics["t2"])
                row["paper_mbpp_r"] = getattr(theirs, "mbpp_r", None)
    return pd.DataFrame(rows, columns=columns)


def attempts_csv(report: Report) -> pd.DataFrame:
    """One row per task, method and decoding: accuracy after each attempt, in percent.

    Only methods with more than two attempts; ``later`` is the last attempt's accuracy minus the
    second's.
    """
    shown = report.with_more_attempts()
    names = [*(f"t{turn}" for turn in range(1, most_turns(shown) + 1)), "later"]
    columns = [
        *_IDENTITY,
        *(column for name in names for column in _estimate_columns(name)),
        "truncated_attempts",
    ]
    rows = []
    for summary in shown:
        row = _identity(summary)
        for turn, estimate in enumerate(summary.turns, start=1):
            row |= _estimate(f"t{turn}", estimate)
        assert summary.later is not None
        row |= _estimate("later", summary.later)
        rows.append(row | {"truncated_attempts": summary.truncated_attempts})
    return pd.DataFrame(rows, columns=columns)


def pass_at_k_csv(report: Report) -> pd.DataFrame:
    """One row per task, method and k: pass@k of first and of second attempts, in percent.

    Of sampled traces, ``samples`` for each problem; both turns of a trace count as one sample.
    """
    columns = [*_IDENTITY, "k", *_estimate_columns("t1"), *_estimate_columns("t2")]
    rows = [
        _identity(summary) | {"k": k} | _estimate("t1", first) | _estimate("t2", second)
        for summary in report.sampled()
        for k, (first, second) in summary.pass_at.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def claims_csv(found: Mapping[str, Sequence[Finding]]) -> pd.DataFrame:
    """One row per task and claim; the difference in points, p in 0..1, adjusted in a family."""
    columns = ["task", "claim", "text", "source", "measured", "said", "family", "seeds",
               *_estimate_columns("difference"), "bootstrap_low", "bootstrap_high", "p",
               "verdict"]  # fmt: skip
    rows = []
    for task, of_task in found.items():
        for of in of_task:
            row = {
                "task": task, "claim": of.claim.name, "text": of.claim.text,
                "source": of.claim.source, "measured": of.claim.measured,
                "said": of.claim.direction, "family": of.claim.family, "p": of.p,
                "verdict": of.verdict,
            }  # fmt: skip
            if of.difference and of.bootstrap:
                row |= _estimate("difference", of.difference)
                row |= {"bootstrap_low": of.bootstrap[0], "bootstrap_high": of.bootstrap[1]}
            rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def _identity(summary: Summary) -> dict[str, Any]:
    return {
        "task": summary.task,
        "method": summary.method.name,
        "label": summary.method.label,
        "decoding": summary.decoding,
        "n": summary.problems,
        "samples": summary.samples,
        "seeds": json.dumps(summary.seeds),
    }


def _estimate_columns(name: str) -> tuple[str, str, str, str]:
    return name, f"{name}_low", f"{name}_high", f"{name}_per_seed"


def _estimate(name: str, of: Estimate) -> dict[str, Any]:
    per_seed = json.dumps([float(f"{value:.10g}") for value in of.per_seed])
    values = (of.value, of.low, of.high, per_seed)
    return dict(zip(_estimate_columns(name), values, strict=True))


def _comparison_row(summary: Summary, of_paper: Mapping[str, paper.Row]) -> dict[str, Any]:
    row = _identity(summary)
    for name in _METRICS:
        row |= _estimate(name, summary.metrics[name])
    for name, compared in summary.against.items():
        for turn, against in compared.items():
            row |= _estimate(f"{turn}_vs_{name}", against.difference.percent())
            row[f"{turn}_vs_{name}_p"] = against.p
            row[f"{turn}_vs_{name}_p_per_seed"] = json.dumps(
                [float(f"{p:.10g}") for p in against.p_per_seed]
            )
    row["truncated_attempts"] = summary.truncated_attempts
    theirs = of_paper.get(summary.method.name) if summary.decoding == "greedy" else None
    return row | {f"paper_{name}": getattr(theirs, name, None) for name in PAPER_METRICS}
