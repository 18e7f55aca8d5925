"""A run that is there, opened by its folder: for notebooks and for questions nobody foresaw."""

from pathlib import Path

from selfcorrect import files
from selfcorrect.analysis.evidence import Evidence, read_evidence
from selfcorrect.plan import Plan
from selfcorrect.spec import Config
from selfcorrect.validation import parse

VIEWS = ("voting", "familiar", "snapshots")


def open_run(results: Path | str) -> Evidence:
    """All of a run that is finished so far, as its own config has it.

    Args:
        results: the folder of all results, with ``tables`` in it.

    Raises:
        FileProblem: its tables were never made, or a file is damaged.
    """
    folder = Path(results)
    manifest = folder / "tables" / "manifest.json"
    if not manifest.is_file():
        raise files.FileProblem(f"{manifest}: no such file; run `make tables` first")
    plan = Plan(parse(Config, files.read_json(manifest)["config"]))
    places = [
        folder / task / node / f"seed{seed}"
        for task, nodes in plan.nodes.items()
        for node in nodes
        for seed in plan.config.run.seeds
    ]
    grades, *views = (
        [path for place in places if (path := place / f"{view}grades.parquet").is_file()]
        for view in ("", *(f"{name}_" for name in VIEWS))
    )
    logs = [path for place in places if (path := place / "training.jsonl").is_file()]
    trained = [path for path in logs if path.parents[1].name != "base"]
    return read_evidence(plan.report(), grades, trained, **dict(zip(VIEWS, views, strict=True)))
