"""The tables: ``main`` (the paper's Tables 1 and 2), ``code`` (Table 3), ``ablations`` (Table 4),
``attempts`` (Fig. 8), ``pass_at_k``, and the paper's ``claims`` with what came out.

Each is written as CSV (every number, both decodings), Markdown and LaTeX (greedy, with intervals
and the paper's numbers; pass@k is about samples).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from selfcorrect import paper
from selfcorrect.analysis.claims import CLAIMS, Finding, findings
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.metrics import PAPER_METRICS
from selfcorrect.analysis.numbers import attempts_csv, claims_csv, comparison_csv, pass_at_k_csv
from selfcorrect.analysis.render import NONE, Cell, Column, Table, latex, markdown, number
from selfcorrect.analysis.statistics import Estimate, Interval
from selfcorrect.analysis.summary import Report, Summary, holm_against, most_turns
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
# On how much a row was measured; LaTeX has it in the caption.
EXTENT = (Column("n", on_paper=False), Column("seeds", on_paper=False))
# Verdicts of the sandbox that a reader must not take for wrong answers.
ENDED = (Verdict.TIMEOUT, Verdict.MEMORY, Verdict.OUTPUT, Verdict.FORBIDDEN, Verdict.ERROR)


def write(evidence: Evidence, folder: Path) -> None:
    """Write all tables into ``folder``, which is made."""
    folder.mkdir(parents=True)
    for table, numbers in tables(evidence):
        numbers.to_csv(folder / f"{table.name}.csv", index=False, float_format="%.10g")
        (folder / f"{table.name}.md").write_text(markdown(table))
        (folder / f"{table.name}.tex").write_text(latex(table))


def tables(evidence: Evidence) -> Iterator[tuple[Table, pd.DataFrame]]:
    """All tables, for people and in numbers."""
    report = evidence.report
    for of in METHOD_TABLES:
        if of.tasks(report):
            numbers = comparison_csv(report, of.shown(report), of.paper, of.reference)
            yield comparison_table(report, of), numbers
    yield attempts_table(report), attempts_csv(report)
    yield pass_at_k_table(report), pass_at_k_csv(report)
    found = {task: findings(evidence, task) for task in report.spec.tasks}
    yield claims_table(evidence, found), claims_csv(found)


def comparison_table(report: Report, of: MethodTable) -> Table:
    """``main`` or ``ablations`` for people: greedy decoding, the best second attempt in bold."""
    shown = [summary for summary in of.shown(report) if summary.decoding == "greedy"]
    repairs = {summary.task for summary in shown if report.repair(summary) is not None}
    best = {task: max(summary.metrics["t2"].value for summary in shown if summary.task == task)
            for task in report.spec.tasks
            if any(summary.task == task for summary in shown)}  # fmt: skip
    adjusted = holm_against(shown, of.reference) if of.reference != "base" else {}

    def cells(summary: Summary) -> list[Cell]:
        theirs = of.paper.get(summary.method.name)
        is_best = summary.metrics["t2"].value == best[summary.task]
        against = summary.against.get(of.reference)
        repair = report.repair(summary)
        return [
            Cell(summary.method.label),
            *([_cell(repair.metrics["t2"]) if repair else Cell(NONE)] if repairs else []),
            *(_cell(summary.metrics[name], signed=name == "delta", bold=is_best and name == "t2")
              for name in PAPER_METRICS),
            Cell(number(summary.metrics["same"].value)),
            Cell(f"{number(summary.metrics['truncated'].value)} ({summary.truncated_attempts})"),
            Cell(_p_value(adjusted.get((summary.task, summary.method.name), against["t2"].p))
                 if against else NONE),
            *_extent(summary),
            *(Cell(number(getattr(theirs, name, None), signed=name == "delta"))
              for name in of.columns),
        ]  # fmt: skip

    return Table(
        name=of.name,
        caption=f"{of.title}: {_what(report, shown)}",
        columns=[
            Column("Method"),
            *([Column("repair")] if repairs else []),
            *(Column(TITLES[name]) for name in PAPER_METRICS),
            Column("y2 = y1"),
            Column("truncated"),
            Column("p"),
            *EXTENT,
            *(Column(SHORT_TITLES.get(name, TITLES[name]), "Paper", on_paper=name in SHORT_TITLES)
              for name in of.columns),
        ],
        groups=_grouped(report, shown, cells),
        notes=[
            _about_intervals(report),
            "Δ(t1,t2) = Acc@t2 − Acc@t1 = Δi→c − Δc→i: problems put right minus problems put wrong "
            "by the second attempt. y2 = y1: second attempts that repeat the first to the letter. "
            f"p: Acc@t2 against {report.label(of.reference)}'s on the same problems, "
            f"{_test(report)}{' (Holm, over the rows of a task)' if adjusted else ''}. "
            "Best Acc@t2 in bold.",
            *(["repair: second attempts that are right after another writer's wrong program, the "
               "task's counterpart of the paper's MBPP-R."] if repairs else []),
            _about_truncation(shown),
            *_about_the_sandbox(report, shown),
            f"Paper: {of.source}; other models and problems, so compare signs and order, not "
            "sizes.",
            *report.missing_in_words(of.methods, of.tasks(report)),
        ],
    )  # fmt: skip


def attempts_table(report: Report) -> Table:
    """Accuracy after each attempt, for the methods that were given more than two (Fig. 8)."""
    shown = report.with_more_attempts("greedy")
    turns = most_turns(shown)

    def cells(summary: Summary) -> list[Cell]:
        assert summary.later is not None
        later = [_cell(estimate) for estimate in summary.turns]
        return [
            Cell(summary.method.label),
            *later, *[Cell("")] * (turns - len(later)),
            _cell(summary.later, signed=True),
            Cell(str(summary.truncated_attempts)),
            *_extent(summary),
        ]  # fmt: skip

    notes = [
        _about_intervals(report),
        "Δ(t2,last): accuracy of the last attempt minus that of the second, paired by problem. "
        f"truncated: attempts that ran into the token limit ({_truncated(shown)} in this table); "
        "they count as not right.",
        *report.missing_in_words(),
    ]
    if not shown:
        notes.insert(0, "No method was given more than two attempts.")
    return Table(
        name="attempts",
        caption=f"Accuracy after each attempt: {_what(report, shown)}",
        columns=[
            Column("Method"),
            *(Column(f"t{turn}") for turn in range(1, turns + 1)),
            Column("Δ(t2,last)"),
            Column("truncated", on_paper=False),
            *EXTENT,
        ],
        groups=_grouped(report, shown, cells),
        notes=notes,
    )


def pass_at_k_table(report: Report) -> Table:
    """The chance that one of k sampled attempts is right, for first and for second attempts."""
    shown = report.sampled()
    ks = sorted({k for summary in shown for k in summary.pass_at})

    def cells(summary: Summary) -> list[Cell]:
        by_turn = [
            [_cell(summary.pass_at[k][turn]) if k in summary.pass_at else Cell("") for k in ks]
            for turn in range(2)
        ]
        return [
            Cell(summary.method.label),
            *by_turn[0], *by_turn[1],
            Cell(str(summary.samples)),
            *_extent(summary),
        ]  # fmt: skip

    notes = [
        _about_intervals(report),
        "pass@k: the chance that at least one of k attempts is right, by the unbiased estimator of "
        "Chen et al. (2021) from all samples of a problem; pass@1 is the accuracy at that "
        "temperature. A second attempt has its own first one before it.",
        *report.missing_in_words(),
    ]
    if not shown:
        notes.insert(0, "No method was sampled (evaluation.samples of the config).")
    return Table(
        name="pass_at_k",
        caption=f"pass@k of first and second attempts: {_what(report, shown, sampled=True)}",
        columns=[
            Column("Method"),
            *(Column(f"pass@{k}", turn) for turn in ("t1", "t2") for k in ks),
            Column("samples", on_paper=False),
            *EXTENT,
        ],
        groups=_grouped(report, shown, cells),
        notes=notes,
    )


def claims_table(evidence: Evidence, found: Mapping[str, Sequence[Finding]]) -> Table:
    """Each claim of the paper, what decides it, and the verdict."""
    report = evidence.report
    wanted = len(report.spec.seeds)

    def cells(of: Finding) -> list[Cell]:
        signed = of.claim.direction in ("above", "below")
        partly = f" ({of.seeds} of {wanted} seeds)" if 0 < of.seeds < wanted else ""
        return [
            Cell(of.claim.text),
            Cell(of.verdict + partly, bold=of.verdict == "reproduced"),
            Cell(of.claim.measured),
            Cell(of.claim.said),
            _cell(of.difference, signed=True) if of.difference else Cell(NONE),
            Cell(_p_value(of.p) if of.p is not None and signed else NONE),
            Cell(f"[{_interval(of.bootstrap, signed=True)}]" if of.bootstrap else NONE),
            Cell(of.claim.source),
        ]

    left = [claim.name for claim in CLAIMS if claim.view not in ("", *evidence.views)]
    return Table(
        name="claims",
        caption=f"The paper's claims: {', '.join(report.spec.tasks)}, {report.seeds_in_words()}, "
        "points; greedy decoding, but for votes.",
        columns=[
            Column("Claim"), Column("verdict"), Column("measured", on_paper=False),
            Column("said"), Column("came out"), Column("p"),
            Column("bootstrap", on_paper=False), Column("paper"),
        ],
        groups={task: [cells(of) for of in rows] for task, rows in found.items()},
        notes=[
            "In brackets: 95 % intervals over "
            + ("seeds and problems, which are crossed." if wanted > 1 else "problems of this seed.")
            + " reproduced: the contrary is excluded at 5 %, by the test and by the interval; not "
            "reproduced: the claim is; undecided: neither. A claim of at most so many points, or "
            "of a margin, is reproduced where the whole interval lies in it, not reproduced where "
            "it lies wholly outside. not tested: what it needs was not run.",
            f"p: {_test(report)} between accuracies, "
            + ("the same" if wanted > 1 else "a paired normal test")
            + " between other differences; two-sided, against no difference; those of the "
            "ablations are Holm's, and so is that of the method that SCoRe does not beat, among "
            "all that it is compared with. bootstrap: the difference's interval by the paired "
            "bootstrap, a check that decides nothing.",
            *([f"Decided in the report, from what its figures are drawn of: {', '.join(left)}."]
              if left else []),
            *report.missing_in_words(),
        ],
    )  # fmt: skip


def _grouped(
    report: Report, shown: Sequence[Summary], cells: Callable[[Summary], list[Cell]]
) -> dict[str, list[list[Cell]]]:
    return {
        task: [cells(summary) for summary in shown if summary.task == task]
        for task in report.spec.tasks
        if any(summary.task == task for summary in shown)
    }


def _what(report: Report, shown: Sequence[Summary], sampled: bool = False) -> str:
    """The second half of a caption: what was measured, on how much."""
    parts = []
    for task in report.spec.tasks:
        of_task = [summary for summary in shown if summary.task == task]
        if of_task:
            seeds = max((summary.seeds for summary in of_task), key=len)
            plural = "seed" if len(seeds) == 1 else "seeds"
            parts.append(f"{task}, {of_task[0].problems} problems, {plural} {_seeds(seeds)}")
            if sampled:
                parts[-1] += f", T = {report.spec.temperatures[task]:g}"
    how = "sampled" if sampled else "greedy decoding"
    return "; ".join([*parts, f"{how}, percent of problems."])


def _extent(summary: Summary) -> tuple[Cell, Cell]:
    """The cells of ``EXTENT``."""
    return Cell(str(summary.problems)), Cell(_seeds(summary.seeds))


def _cell(of: Estimate, signed: bool = False, bold: bool = False) -> Cell:
    return Cell(number(of.value, signed), _interval((of.low, of.high), signed), bold)


def _interval(of: Interval, signed: bool = False) -> str:
    return ", ".join(number(end, signed) for end in of)


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds with runs shortened: 0–4, 7."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _about_intervals(report: Report) -> str:
    if len(report.spec.seeds) == 1:
        return (
            "In brackets: 95 % intervals over problems for this one seed (Wilson; for differences "
            "Bonett and Price, paired); they do not hold the variation between training runs."
        )
    return (
        "Means over seeds. In brackets: 95 % intervals over seeds and problems, which are crossed: "
        "two-way variance components with Satterthwaite's degrees of freedom, in Wilson's form for "
        "shares and Bonett and Price's, paired, for differences."
    )


def _test(report: Report) -> str:
    if len(report.spec.seeds) == 1:
        return "McNemar's exact test"
    return "paired t test over seeds and problems"


def _truncated(shown: Sequence[Summary]) -> int:
    return sum(summary.truncated_attempts for summary in shown)


def _about_the_sandbox(report: Report, shown: Sequence[Summary]) -> list[str]:
    """How programs ended that no test decided on, and behind what they were run."""
    if not any(summary.task in report.spec.programming for summary in shown):
        return []
    ended = Counter[str]()
    for summary in shown:
        ended.update({verdict: summary.verdicts.get(verdict.value, 0) for verdict in ENDED})
    counts = ", ".join(f"{verdict.value} {ended[verdict]}" for verdict in ENDED)
    behind = "; ".join(grader for grader in report.graders if "programs/" in grader)
    return [
        f"Programs that ended before the tests could decide, of all attempts: {counts}; they count "
        f"as not right. Graded by {behind}."
    ]


def _about_truncation(shown: Sequence[Summary]) -> str:
    return (
        "truncated: problems with a first or second attempt that ran into the token limit, and in "
        f"parentheses the number of such attempts, further ones included ({_truncated(shown)} in "
        "this table); they count as not right."
    )
