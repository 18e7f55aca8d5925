"""The report's front page: one HTML file that needs nothing else.

What was run, the verdict on each claim, tables, figures, traces side by side, and what all of it
was made with. Tables sort by a click on a column's head, traces are filtered by outcome.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, get_args

import jinja2
import pandas as pd
import yaml

from selfcorrect import files
from selfcorrect.analysis.claims import Ruling
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.page.examples import OUTCOMES, examples
from selfcorrect.analysis.render import Cell, Table
from selfcorrect.analysis.summary import Report
from selfcorrect.analysis.tables import Made

VERDICTS = get_args(Ruling)
LONG = 30  # letters of a cell that is not to become a thin column
LEAST_WIDTH = 84  # of a figure's inch, in pixels: its letters of 7 to 8 points are legible then


def page(
    evidence: Evidence, made: Iterable[Made], figures: Path, manifest: Mapping[str, Any]
) -> str:
    """The page as HTML.

    Args:
        evidence: a run's.
        made: its tables.
        figures: a folder that ``figures.write`` has made.
        manifest: what the run was made of.

    Raises:
        FileProblem: a figure is missing.
    """
    report = evidence.report
    shown = {table.name: (table, numbers) for table, numbers in made}
    claims, numbers = shown.pop("claims")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        (resources("selfcorrect.analysis.page") / "page.html.jinja").read_text()
    )
    return template.render(
        tasks=[extent(report, task) for task in report.spec.tasks],
        seeds=report.spec.seeds,
        methods=report.spec.methods,
        cautions=report.cautions(),
        claims=_shown(claims),
        verdicts={task: counted(of["verdict"]) for task, of in numbers.groupby("task", sort=False)},
        tables=[_shown(table) for table, _ in shown.values()],
        figures=[_figure(figures, entry) for entry in files.read_json(figures / "index.json")],
        examples=list(examples(evidence)),
        outcomes=OUTCOMES,
        made=provenance(manifest),
        config=yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True),
    )


def extent(report: Report, task: str) -> str:
    """A task with the number of its problems."""
    problems = {of.problems for of in report.summaries
                if of.task == task and of.decoding == "greedy"}  # fmt: skip
    return f"{task} ({max(problems):,} problems)" if problems else task


def counted(verdicts: Iterable[str]) -> dict[str, int]:
    """How many claims got each verdict."""
    counts = Counter(verdicts)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the run was made with, in a few lines."""
    # Not those of models kept on the way, which say no more than their step.
    jobs = [record for record in manifest["results"].values() if "commit" in record]
    if not jobs:
        return {}
    records = pd.DataFrame(jobs)
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


def _figure(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / f"{entry['name']}.png"
    if not path.is_file():
        raise files.FileProblem(f"{path}: no such figure; draw the figures again")
    data = base64.b64encode(path.read_bytes()).decode()
    least_width = round(entry["inches"] * LEAST_WIDTH)
    return {**entry, "source_of_image": f"data:image/png;base64,{data}", "least_width": least_width}


def _shown(table: Table) -> dict[str, Any]:
    heads = [" ".join(filter(None, (column.group, column.title))) for column in table.columns]
    columns = zip(*(row for rows in table.groups.values() for row in rows), strict=True)
    wordy = [any(re.search("[a-z]{3}", cell.text) for cell in column) for column in columns]
    rows = [
        (task, [_cell(cell, words=words) for cell, words in zip(row, wordy, strict=True)])
        for task, rows in table.groups.items()
        for row in rows
    ]
    return {
        "name": table.name,
        "caption": table.caption,
        "heads": heads,
        "rows": rows,
        "several": len(table.groups) > 1,
        "notes": table.notes,
    }


def _cell(cell: Cell, *, words: bool) -> dict[str, Any]:
    """Text, how it is set (``kind``, a CSS class) and the number that it is sorted by, if any.

    ``words``: whether it stands in a column of words.
    """
    plain = cell.text.replace("−", "-").lstrip("[").split(" ")[0].lstrip("+").rstrip(",")
    try:
        order: Any = float(plain.lstrip("<"))
    except ValueError:
        order = ""
    ruling = re.sub(r" \(.*\)$", "", cell.text)
    if ruling in VERDICTS:
        kind = ruling.replace(" ", "-")
    else:
        kind = ("long" if len(cell.text) > LONG else "") if words else "number"
    return {"text": cell.text, "interval": cell.interval, "bold": cell.bold,
            "order": order, "kind": kind}  # fmt: skip
