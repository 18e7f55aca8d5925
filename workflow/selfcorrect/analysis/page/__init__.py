"""The report's front page: one HTML file that needs nothing else.

What was run, the verdict on each claim, tables, figures, traces side by side, and what all of it
was made with. Tables sort by a click on a column's head, traces are filtered by outcome.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from selfcorrect import files
from selfcorrect.analysis.claims import Finding, findings
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.page.examples import OUTCOMES, examples
from selfcorrect.analysis.render import NONE, Cell, Table, number
from selfcorrect.analysis.statistics import Estimate
from selfcorrect.analysis.tables import SAID, tables

VERDICTS = ("reproduced", "not reproduced", "undecided", "not tested")


def page(evidence: Evidence, figures: Path, manifest: Mapping[str, Any]) -> str:
    """The page as HTML.

    Args:
        evidence: a run's.
        figures: a folder that ``figures.write`` has made.
        manifest: what the run was made of.

    Raises:
        FileProblem: a figure is missing.
    """
    report = evidence.report
    found = {task: findings(evidence, task) for task in report.spec.tasks}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        (resources("selfcorrect.analysis.page") / "page.html.jinja").read_text()
    )
    return template.render(
        tasks=report.spec.tasks,
        seeds=report.spec.seeds,
        methods=report.spec.methods,
        missing=report.missing_in_words(),
        findings=[of for rows in found.values() for of in rows],
        verdicts={task: counted(rows) for task, rows in found.items()},
        said=SAID,
        number=in_words,
        tables=[_shown(table) for table, _ in tables(evidence) if table.name != "claims"],
        figures=[_figure(figures, entry) for entry in files.read_json(figures / "index.json")],
        examples=list(examples(evidence)),
        outcomes=OUTCOMES,
        made=provenance(manifest),
    )


def in_words(of: Estimate | None) -> str:
    """A difference with its interval, or a dash."""
    if of is None:
        return NONE
    value, low, high = (number(part, signed=True) for part in (of.value, of.low, of.high))
    return f"{value} [{low}, {high}]"


def counted(rows: Sequence[Finding]) -> dict[str, int]:
    """How many claims got each verdict."""
    counts = Counter[str](of.verdict for of in rows)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the run was made with, in a few lines."""
    records = pd.DataFrame(manifest["results"].values())
    if records.empty:
        return {}
    environment = manifest["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    return {
        "Commits": ", ".join(sorted({str(commit) for commit in records["commit"]})),
        "Jobs": f"{len(records)}, {records['seconds'].sum() / 60:.0f} minutes of work in all",
        "Begun": f"{records['started'].min()} to {records['started'].max()}",
        "Machines": "; ".join(sorted({str(device) for device in records["device"]})),
        "Python": ", ".join(sorted({str(version) for version in records["python"]})),
        "Packages": packages,
    }


def _figure(folder: Path, entry: Mapping[str, str]) -> dict[str, str]:
    path = folder / f"{entry['name']}.png"
    if not path.is_file():
        raise files.FileProblem(f"{path}: no such figure; draw the figures again")
    data = base64.b64encode(path.read_bytes()).decode()
    return {**entry, "source_of_image": f"data:image/png;base64,{data}"}


def _shown(table: Table) -> dict[str, Any]:
    heads = [" ".join(filter(None, (column.group, column.title))) for column in table.columns]
    rows = [
        (task, [_cell(cell) for cell in row]) for task, rows in table.groups.items() for row in rows
    ]
    return {
        "name": table.name,
        "caption": table.caption,
        "heads": heads,
        "rows": rows,
        "several": len(table.groups) > 1,
        "notes": table.notes,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    plain = cell.text.replace("−", "-").split(" ")[0].lstrip("+")
    try:
        order: Any = float(plain.lstrip("<"))
    except ValueError:
        order = ""
    return {"text": cell.text, "interval": cell.interval, "bold": cell.bold, "order": order}
