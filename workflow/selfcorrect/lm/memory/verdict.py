"""A task's memory plan: every job's need beside its limit, as a table and as a refusal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from selfcorrect.jobs import (
    FinetuneJob,
    GenerateJob,
    MemoryJob,
    ReinforceJob,
    SampleJob,
    TrackJob,
)
from selfcorrect.lm.memory.conversations import Conversations, of_training
from selfcorrect.lm.memory.needs import AnyJob, needs
from selfcorrect.lm.memory.remedies import Limits, Remedy, remedies
from selfcorrect.lm.memory.shape import Shapes
from selfcorrect.lm.memory.terms import GIB, MIB, Need, Needs, Setting
from selfcorrect.validation import ConfigError

WORK = {SampleJob: "sampling", FinetuneJob: "fine-tuning", ReinforceJob: "RL",
        GenerateJob: "evaluation", TrackJob: "tracking"}  # fmt: skip
SECTION = {SampleJob: "generation", FinetuneJob: "sft", ReinforceJob: "rl",
           GenerateJob: "generation", TrackJob: "generation"}  # fmt: skip
# Of jobs whose attempts are looked at in another way.
LOOKED_AT = {"voting": "votes", "familiar": "training problems"}


@dataclass(frozen=True)
class Row:
    """Jobs of one kind that need the same: those of ``methods``."""

    job: AnyJob
    setting: Setting
    methods: tuple[str, ...]
    needs: Needs

    @property
    def work(self) -> str:
        """What the jobs do."""
        return _work(self.job)


def _work(job: AnyJob) -> str:
    if isinstance(job, GenerateJob) and job.passes[0].decoding in LOOKED_AT:
        return LOOKED_AT[job.passes[0].decoding]
    return WORK[type(job)]


def plan_of(job: MemoryJob, shape: Shapes, found: Conversations, *, on_gpu: bool) -> list[Row]:
    """The needs of a task's jobs, a row for those that need the same."""
    rows: dict[tuple[str, str], Row] = {}
    jobs: list[AnyJob] = [
        *job.sample, *job.finetune, *job.reinforce, *job.generate, *job.track
    ]  # fmt: skip
    for each in jobs:
        prompts = found.training if of_training(each) else found.evaluated
        processes = job.processes if isinstance(each, ReinforceJob) else 1
        setting = Setting(shape, prompts.longest, prompts.bridge, job.generation, processes,
                          job.sharded, on_gpu)  # fmt: skip
        need = needs(each, setting)
        key = (_work(each), repr(need))
        before = rows[key].methods if key in rows else ()
        rows[key] = Row(each, setting, (*before, each.node), need)
    return list(rows.values())


def check_fit(rows: Sequence[Row], limits: Limits) -> None:
    """Refuse jobs that cannot fit.

    Raises:
        ConfigError: a line for each row of them: what they need, what there is, what to change.
    """
    faults = [_refusal(row, limits) for row in rows if limits.exceeded(row.needs)]
    if faults:
        raise ConfigError("\n".join(faults))


def _refusal(row: Row, limits: Limits) -> str:
    where = f"tasks.{row.job.task}.{SECTION[type(row.job)]}"
    said = "; ".join(_over(row.needs, limits))
    tried = remedies(row.job, row.setting, limits)
    advice = [f"{one.change} ({_totals(one)})" for one in tried]
    if row.needs.main.total > limits.main:
        enough = -(-row.needs.main.total // (100 * MIB)) * 100
        advice.append(f"compute.memory_mb: {enough}, on a machine that has it")
    if limits.excess(row.needs) and all(limits.excess(one.needs) for one in tried):
        advice.append(f"and still not enough: tasks.{row.job.task}.model.path: a smaller model")
    return f"{where}: {row.work} ({', '.join(row.methods)}) {said}. What helps: {'; '.join(advice)}"


def _over(need: Needs, limits: Limits) -> Iterator[str]:
    if need.gpu is not None and limits.gpu is not None and need.gpu.total > limits.gpu:
        yield f"{_needs(need.gpu)} of GPU memory, but a GPU has {gib(limits.gpu)}"
    if need.main.total > limits.main:
        yield f"{_needs(need.main)} of main memory, but compute.memory_mb gives {gib(limits.main)}"


def _needs(need: Need) -> str:
    items = sorted(need.items.items(), key=lambda item: -item[1])
    largest = ", ".join(f"{name} {size / GIB:.1f}" for name, size in items if size > 0.05 * GIB)
    return f"needs {gib(need.total)} ({largest})"


def _totals(remedy: Remedy) -> str:
    gpu, main = remedy.needs.gpu, remedy.needs.main
    return gib(main.total) if gpu is None else f"GPU {gib(gpu.total)}, main {gib(main.total)}"


def gib(size: int) -> str:
    """A number of bytes in words."""
    return f"{size / GIB:.1f} GiB"


def markdown(rows: Sequence[Row], limits: Limits | None = None) -> str:
    """A table for each memory: a row for each kind of job, its items in GiB; limits if given."""
    parts = []
    for title, place in (("A GPU", "gpu"), ("Main memory", "main")):
        needed = [(row, getattr(row.needs, place)) for row in rows]
        if all(need is None for _, need in needed):
            continue
        items = list(dict.fromkeys(name for _, need in needed for name in need.items))
        limit = getattr(limits, place, None)
        head = ["job", "methods", *items, "total", *(["limit"] if limit else [])]
        lines = [f"{title}, GiB:", "", _line(head), _line(["---"] * 2 + ["---:"] * (len(head) - 2))]
        for row, need in needed:
            cells = [
                f"{need.items[name] / GIB:.2f}" if name in need.items else "" for name in items
            ]
            cells += [f"**{need.total / GIB:.2f}**"]
            cells += [f"{limit / GIB:.2f}"] if limit else []
            lines.append(_line([row.work, ", ".join(row.methods), *cells]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def record(rows: Sequence[Row], limits: Limits) -> dict[str, Any]:
    """The same for programs, in bytes."""
    return {
        "limits": {"gpu": limits.gpu, "main": limits.main},
        "jobs": [
            {
                "work": row.work,
                "methods": list(row.methods),
                **{
                    place: {"items": need.items, "total": need.total}
                    for place in ("gpu", "main")
                    if (need := getattr(row.needs, place)) is not None
                },
            }
            for row in rows
        ],
    }
