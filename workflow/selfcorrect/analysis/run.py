"""A run that is there, opened by its folder: for notebooks and for questions nobody foresaw."""

from pathlib import Path

import yaml

from selfcorrect import config, files
from selfcorrect.analysis.evidence import Evidence, read_evidence
from selfcorrect.plan import Plan
from selfcorrect.reference import REPOSITORY
from selfcorrect.spec import Config
from selfcorrect.validation import ConfigError, parse

VIEWS = ("voting", "familiar", "snapshots")


def open_run(results: Path | str, *overlays: Path | str) -> Evidence:
    """All of a run that is finished so far.

    Args:
        results: the folder of all results.
        overlays: of its config, the files that it was given. A run with tables holds its config.

    Raises:
        FileProblem: nothing of it is graded, or a file is damaged.
        ConfigError: the config with these overlays cannot be run.
    """
    folder = Path(results)
    manifest = folder / "tables" / "manifest.json"
    if not overlays and manifest.is_file():
        try:
            made = parse(Config, files.read_json(manifest)["config"])
        except ConfigError as error:
            raise ConfigError(
                f"{manifest}: the config of another version of this code ({error}). Name the "
                "overlays that the run was given, or the default config's file if none."
            ) from None
    else:
        raw = config.default(REPOSITORY)
        for path in overlays:
            raw = config.merged(raw, yaml.safe_load(Path(path).read_text()))
        made = config.load(raw)
    plan = Plan(made)
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
    if not grades:
        raise files.FileProblem(f"{folder}: nothing of such a run is graded yet; run `make tables`")
    logs = [path for place in places if (path := place / "training.jsonl").is_file()]
    trained = [path for path in logs if path.parents[1].name != "base"]
    return read_evidence(plan.report(), grades, trained, **dict(zip(VIEWS, views, strict=True)))
