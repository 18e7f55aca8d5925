"""Models as a fine-tuning keeps them on its way, and what the step `track` samples of them."""

from pathlib import Path

import steps
from selfcorrect.lm import models
from selfcorrect.plan import Plan
from selfcorrect.tasks import make_task
from selfcorrect.tracefile import read_table, read_traces
from tiny import language_model

STEPS = (0, 3, 6)  # the model that training started from, and two on the way


def keep(folder: Path, width: int) -> dict[int, Path]:
    """Models with weights of their own."""
    places = {step: folder / "snapshots" / f"step{step}" for step in STEPS[1:]}
    places = {0: folder / "start", **places}
    for step, place in places.items():
        models.save(language_model(width=width, seed=step), place, {})
    return places


def greedy(made: Plan, model: Path, folder: Path) -> list[list[str]]:
    """The attempts of one model, by the step that evaluates; they lie in a file."""
    job = made.generate("carry", "pair_sft_d", 0)
    steps.finish("generate", job, folder, model=model, attempts=folder / "firsts.parquet")
    problems = {problem.id: problem for problem in make_task(job.data).problems(job.split)}
    traces = read_traces(folder / "firsts.parquet", problems, "greedy")
    return [[attempt.text for attempt in trace.attempts[:2]] for trace in traces]


def tracked(made: Plan, folder: Path) -> dict[str, list[list[str]]]:
    """The attempts by decoding; ``greedy`` must have been asked for those of the start last."""
    place = folder / f"{made.config.tasks['carry'].generation.engine}.parquet"
    steps.finish(
        "track", made.track("carry", "pair_sft_d", 0), folder, start=folder / "start",
        snapshots=folder / "snapshots", firsts=folder / "firsts.parquet", attempts=place,
    )  # fmt: skip
    found: dict[str, list[list[str]]] = {}
    for row in read_table(place, ["decoding", "turn", "text"]).to_pylist():
        traces = found.setdefault(row["decoding"], [])
        if row["turn"] == 1:
            traces.append([])
        traces[-1].append(row["text"])
    return found
