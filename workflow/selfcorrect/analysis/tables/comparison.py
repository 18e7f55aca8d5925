"""Methods beside the paper's: ``main`` (its Tables 1 and 2), ``code`` (Table 3) and ``ablations``
(Table 4).
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from selfcorrect import paper
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.metrics import PAPER_METRICS
from selfcorrect.analysis.render import NONE, Cell, Column, Table, number
from selfcorrect.analysis.statistics import Comparison
from selfcorrect.analysis.summary import Report, Summary, holm_against
from selfcorrect.analysis.tables import common
from selfcorrect.records import Verdict

TITLES = {
    "t1": "Acc@t1",
    "t2": "Acc@t2",
    "delta": "Δ(t1,t2)",
    "i_to_c": "Δi→c",
    "c_to_i": "Δc→i",
    "mbpp_r": "MBPP-R",
}
SHORT_TITLES = {"t1": "t1", "t2": "t2", "delta": "Δ"}  # of the paper's columns


@dataclass(frozen=True, slots=True)
class MethodTable:
    """A table of methods beside the paper's numbers.

    ``methods``: which (``tables`` of the config). ``programming``: on tasks whose answers are
    programs, on the others, or on all (None). ``columns``: those that the paper has.
    ``reference``: the method that the others' second attempts are compared with.
    """

    name: str
    title: str
    methods: str
    programming: bool | None
    paper: Mapping[str, paper.Row]
    source: str
    columns: Sequence[str]
    reference: str = "base"

    def tasks(self, report: Report) -> list[str]:
        """The tasks that the table is about."""
        programming = report.spec.programming
        return [
            task for task in report.spec.tasks if self.programming in (None, task in programming)
        ]

    def shown(self, report: Report) -> list[Summary]:
        """The table's rows, of every decoding."""
        tasks = self.tasks(report)
        return [
            summary
            for summary in report.of(self.methods)
            if summary.task in tasks and summary.decoding != "repair"
        ]


MATH500 = "of arXiv 2409.12917v2, Gemini 1.5 Flash on MATH500"
HUMANEVAL = "of arXiv 2409.12917v2, Gemini 1.0 Pro trained on MBPP, on HumanEval"
METHOD_TABLES = (
    MethodTable(
        "main", "Self-correction of every method", "main", False,
        paper.MATH, f"Tables 1 and 2 {MATH500}", PAPER_METRICS,
    ),
    MethodTable(
        "code", "Self-correction of every method on programs", "main", True,
        paper.CODE, f"Table 3 {HUMANEVAL}", ("mbpp_r", *PAPER_METRICS),
    ),
    MethodTable(
        "ablations", "Ablations of SCoRe", "ablations", None,
        paper.ABLATIONS, f"Table 4 {MATH500}", ("t1", "t2", "delta"), "score",
    ),
)  # fmt: skip
# Verdicts of the sandbox that a reader must not take for wrong answers.
ENDED = (Verdict.TIMEOUT, Verdict.MEMORY, Verdict.OUTPUT, Verdict.FORBIDDEN, Verdict.ERROR)
_METRICS = (*PAPER_METRICS, "same", "truncated")


def tables(evidence: Evidence) -> Iterator[tuple[Table, pd.DataFrame]]:
    """Those that have a task to show."""
    report = evidence.report
    for of in METHOD_TABLES:
        if of.tasks(report):
            yield table(report, of), numbers(report, of)


def table(report: Report, of: MethodTable) -> Table:
    """A table for people: greedy decoding, the best second attempt in bold."""
    shown = [summary for summary in of.shown(report) if summary.decoding == "greedy"]
    repairs = {summary.task for summary in shown if report.repair(summary) is not None}
    best = {task: max(summary.metrics["t2"].value for summary in shown if summary.task == task)
            for task in report.spec.tasks
            if any(summary.task == task for summary in shown)}  # fmt: skip
    family = [row.name for row in report.spec.methods if of.methods in row.tables]
    adjusted = holm_against(shown, of.reference, family) if of.reference != "base" else {}

    def p(summary: Summary, against: Comparison) -> str:
        there = sum(not math.isnan(value) for value in against.p_per_seed)
        some = f" ({there} of {len(summary.seeds)} seeds)" if there < len(summary.seeds) else ""
        value = adjusted.get((summary.task, summary.method.name), against.p)
        return common.p_value(value) + some

    def cells(summary: Summary) -> list[Cell]:
        theirs = of.paper.get(summary.method.name)
        is_best = summary.metrics["t2"].value == best[summary.task]
        against = summary.against.get(of.reference)
        repair = report.repair(summary)
        return [
            Cell(summary.method.label),
            *([common.cell(repair.metrics["t2"]) if repair else Cell(NONE)] if repairs else []),
            *(common.cell(summary.metrics[name], signed=name == "delta",
                          bold=is_best and name == "t2") for name in PAPER_METRICS),
            Cell(number(summary.metrics["same"].value)),
            Cell(f"{number(summary.metrics['truncated'].value)} ({summary.truncated_attempts})"),
            Cell(p(summary, against["t2"]) if against else NONE),
            *common.extent(summary),
            *(Cell(number(getattr(theirs, name, None), signed=name == "delta"))
              for name in of.columns),
        ]  # fmt: skip

    return Table(
        name=of.name,
        caption=f"{of.title}: {common.what(report, shown)}",
        columns=[
            Column("Method"),
            *([Column("repair")] if repairs else []),
            *(Column(TITLES[name]) for name in PAPER_METRICS),
            Column("y2 = y1"),
            Column("truncated"),
            Column("p"),
            *common.EXTENT,
            *(Column(SHORT_TITLES.get(name, TITLES[name]), "Paper", on_paper=name in SHORT_TITLES)
              for name in of.columns),
        ],
        groups=common.grouped(report, shown, cells),
        notes=[
            common.about_intervals(report),
            "Δ(t1,t2) = Acc@t2 − Acc@t1 = Δi→c − Δc→i: problems put right minus problems put wrong "
            "by the second attempt. y2 = y1: second attempts that repeat the first to the letter. "
            f"p: Acc@t2 against {report.label(of.reference)}'s on the same problems, "
            f"{common.about_the_test(report)}"
            f"{' (Holm, over the rows of a task)' if adjusted else ''}. Best Acc@t2 in bold.",
            *([f"repair: second attempts that are right after another writer's wrong program "
               f"({_repairs_in_words(report)}), the task's counterpart of the paper's MBPP-R."]
              if repairs else []),
            _about_truncation(shown),
            *_about_the_sandbox(report, shown),
            f"Paper: {of.source}; other models and problems, so compare signs and order, not "
            "sizes.",
            *report.cautions(of.methods, of.tasks(report)),
        ],
    )  # fmt: skip


def numbers(report: Report, of: MethodTable) -> pd.DataFrame:
    """One row per task, method and decoding; percent of problems, and p-values in 0..1.

    ``X``, ``X_low``, ``X_high``: a metric and its 95 % interval; ``X_per_seed``: a JSON list in
    the order of ``seeds``. ``tN_vs_base``: difference to the base's, likewise, with ``_p``. With
    another ``reference``, ``tN_vs_<reference>`` too; p as they are, not corrected for their number.
    ``paper_X``: the paper's number, which is greedy. ``repair``: second attempts that are right
    after another writer's wrong program, ``repair_n`` of them, where the task has such (the
    paper's MBPP-R). In lists, seeds that cannot be compared are null.
    """
    shown = of.shown(report)
    against = [f"{turn}_vs_{name}" for name in dict.fromkeys(("base", of.reference))
               for turn in ("t1", "t2")]  # fmt: skip
    names = [*_METRICS, *against]
    columns = [
        *common.IDENTITY,
        *(column for name in names for column in common.estimate_columns(name)),
        *(f"{name}{end}" for name in against for end in ("_p", "_p_per_seed")),
        "truncated_attempts",
        *(f"paper_{name}" for name in PAPER_METRICS),
    ]
    rows = [_comparison_row(summary, of.paper) for summary in shown]
    repairs = [report.repair(summary) for summary in shown]
    if any(repair is not None for repair in repairs):
        columns += [*common.estimate_columns("repair"), "repair_n", "paper_mbpp_r"]
        for row, summary, repair in zip(rows, shown, repairs, strict=True):
            if repair is not None and summary.decoding == "greedy":
                theirs = of.paper.get(summary.method.name)
                row |= common.estimate("repair", repair.metrics["t2"])
                row["repair_n"] = repair.problems
                row["paper_mbpp_r"] = getattr(theirs, "mbpp_r", None)
    return pd.DataFrame(rows, columns=columns)


def _comparison_row(summary: Summary, of_paper: Mapping[str, paper.Row]) -> dict[str, Any]:
    row = common.identity(summary)
    for name in _METRICS:
        row |= common.estimate(name, summary.metrics[name])
    for name, compared in summary.against.items():
        for turn, against in compared.items():
            row |= common.estimate(f"{turn}_vs_{name}", against.difference.percent())
            row[f"{turn}_vs_{name}_p"] = against.p
            row[f"{turn}_vs_{name}_p_per_seed"] = common.of_seeds(against.p_per_seed)
    row["truncated_attempts"] = summary.truncated_attempts
    theirs = of_paper.get(summary.method.name) if summary.decoding == "greedy" else None
    return row | {f"paper_{name}": getattr(theirs, name, None) for name in PAPER_METRICS}


def _repairs_in_words(report: Report) -> str:
    sizes = {of.task: of.problems for of in report.summaries if of.decoding == "repair"}
    return ", ".join(f"{count} of {task}" for task, count in sizes.items())


def _about_the_sandbox(report: Report, shown: Sequence[Summary]) -> list[str]:
    """How programs ended that no test decided on, and behind what they were run."""
    if not any(summary.task in report.spec.programming for summary in shown):
        return []
    ended, attempts = Counter[str](), 0
    for summary in shown:
        attempts += sum(summary.verdicts.values())
        ended.update({verdict: summary.verdicts.get(verdict.value, 0) for verdict in ENDED})
    counts = ", ".join(f"{verdict.value} {ended[verdict]}" for verdict in ENDED)
    behind = "; ".join(grader for grader in report.graders if "programs/" in grader)
    return [
        f"Programs that ended before the tests could decide, of {attempts} attempts: {counts}; "
        f"they count as not right. Graded by {behind}."
    ]


def _about_truncation(shown: Sequence[Summary]) -> str:
    return (
        "truncated: problems with a first or second attempt that ran into the token limit, and in "
        "parentheses the number of such attempts, further ones included "
        f"({common.truncated(shown)} in this table); they count as not right."
    )
