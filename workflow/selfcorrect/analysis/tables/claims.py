"""The paper's claims, what decides each, and what came out."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from selfcorrect.analysis.claims import CLAIMS, Finding, findings
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.render import NONE, Cell, Column, Table
from selfcorrect.analysis.tables import common


def tables(evidence: Evidence) -> Iterator[tuple[Table, pd.DataFrame]]:
    """The one table; claims that only figures' attempts decide are in it where there are such."""
    asked = [of for of in CLAIMS if not of.view or getattr(evidence, of.view)]
    found = {task: findings(evidence, task, asked) for task in evidence.report.spec.tasks}
    yield table(evidence, found), numbers(found)


def table(evidence: Evidence, found: Mapping[str, Sequence[Finding]]) -> Table:
    """Each claim of the paper, what decides it, and the verdict."""
    report = evidence.report
    wanted = len(report.spec.seeds)

    def cells(of: Finding) -> list[Cell]:
        some = report.some_seeds(of.seeds) if of.seeds else ""
        partly = f" ({some})" if some else ""
        return [
            Cell(of.claim.text),
            Cell(of.verdict + partly, bold=of.verdict == "reproduced"),
            Cell(of.claim.measured),
            Cell(of.claim.said),
            common.cell(of.difference, signed=True) if of.difference else Cell(NONE),
            Cell(common.p_value(of.p) if of.p is not None and of.claim.signed else NONE),
            Cell(f"[{common.interval(of.bootstrap, signed=True)}]" if of.bootstrap else NONE),
            Cell(of.claim.source),
        ]

    left = [of.text for of in CLAIMS if of.view and not getattr(evidence, of.view)]
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
            "it lies wholly outside. not tested: what it needs was not run."
            + (" One seed alone of several decides nothing." if wanted > 1 else ""),
            f"p: {common.about_the_test(report)} between accuracies, "
            + ("the same" if wanted > 1 else "the interval's own")
            + " between other differences; two-sided, against no difference; those of the "
            "ablations are Holm's, and so is that of the method that SCoRe does not beat, among "
            "all that it is compared with. bootstrap: the difference's interval by the paired "
            "bootstrap, a check that decides nothing.",
            *([f"Left out, since no attempts that decide it are here: {'; '.join(left)}. The "
               "report evaluates such attempts where the config asks for them."] if left else []),
            *report.missing_in_words(),
            *(f"{said} That says nothing of a method, so these are left out here, not in the "
              "other tables." for said in report.untaught_in_words()),
            *report.unsafe_in_words(),
        ],
    )  # fmt: skip


def numbers(found: Mapping[str, Sequence[Finding]]) -> pd.DataFrame:
    """One row per task and claim; the difference in points, p in 0..1, adjusted in a family.

    No p where it decides nothing: it is about a difference from 0.
    """
    columns = ["task", "claim", "text", "source", "measured", "said", "family", "seeds",
               *common.estimate_columns("difference"), "bootstrap_low", "bootstrap_high", "p",
               "verdict"]  # fmt: skip
    rows = []
    for task, of_task in found.items():
        for of in of_task:
            row = {
                "task": task, "claim": of.claim.name, "text": of.claim.text,
                "source": of.claim.source, "measured": of.claim.measured,
                "said": of.claim.said, "family": of.claim.family,
                "p": of.p if of.claim.signed else None,
                "verdict": of.verdict,
            }  # fmt: skip
            if of.difference and of.bootstrap:
                row |= common.estimate("difference", of.difference)
                row |= {"bootstrap_low": of.bootstrap[0], "bootstrap_high": of.bootstrap[1]}
            rows.append(row)
    return pd.DataFrame(rows, columns=columns)
