"""What would make a job fit: changes of the config, tried one by one and then together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from selfcorrect.jobs import (
    FinetuneJob,
    GenerateJob,
    MemoryJob,
    ReinforceJob,
    SampleJob,
    TrackJob,
)
from selfcorrect.lm.memory.needs import AnyJob, needs
from selfcorrect.lm.memory.terms import GIB, MIB, Needs, Setting
from selfcorrect.spec import LoRA
from selfcorrect.validation import ConfigError

ADAPTER = LoRA(rank=16, alpha=32.0, modules="all-linear")  # an example of one

Case = tuple[AnyJob, Setting]


@dataclass(frozen=True)
class Limits:
    """Bytes that a job may take: of each of its GPUs (None: it has none), of the main memory."""

    gpu: int | None
    main: int

    def exceeded(self, need: Needs) -> bool:
        """Whether a job does not fit."""
        return self.excess(need) > 0 or need.main.total > self.main

    def excess(self, need: Needs) -> int:
        """Bytes that do not fit where a job computes: on its GPU, or else in the main memory."""
        if need.gpu is not None and self.gpu is not None:
            return max(0, need.gpu.total - self.gpu)
        return max(0, need.main.total - self.main)


@dataclass(frozen=True)
class Remedy:
    """Keys with other values, and what the job would then need."""

    change: str
    needs: Needs


@dataclass(frozen=True)
class _Change:
    key: str
    values: list[Any]  # the mildest first
    apply: Callable[[Case, Any], Case]
    last: bool = False  # is told only where no other is enough


def remedies(job: AnyJob, setting: Setting, limits: Limits) -> list[Remedy]:
    """What helps, the most helpful first; where nothing is enough alone, first what is together.

    Of main memory beside a GPU's there is nothing to try: a job can be given more.
    """
    changes = list(_changes((job, setting)))
    usual = _helpful([each for each in changes if not each.last], (job, setting), limits)
    if any(not limits.excess(one.needs) for one in usual):
        return usual
    return _helpful(changes, (job, setting), limits)


def _helpful(changes: list[_Change], before: Case, limits: Limits) -> list[Remedy]:
    """Those of the changes that help."""
    now = limits.excess(needs(*before))
    found: list[tuple[int, _Change, Any, Needs]] = []
    for change in changes:
        value, then = _mildest(change, before, limits)
        if limits.excess(then) < now:
            found.append((limits.excess(then), change, value, then))
    found.sort(key=lambda one: one[0])
    alone = [Remedy(_told(change, value), then) for _, change, value, then in found]
    if len(found) < 2 or found[0][0] == 0:
        return alone
    case = before
    told: list[str] = []
    for _, change, value, _ in found:
        if change.key not in {each.key for each in _changes(case)}:
            continue  # not together with those before it
        changed = change.apply(case, value)
        if limits.excess(needs(*changed)) < limits.excess(needs(*case)):
            case = changed
            told.append(_told(change, value))
        if not limits.excess(needs(*case)):
            break
    together = [Remedy(" with ".join(told), needs(*case))] if len(told) > 1 else []
    return [*together, *alone]


def _mildest(change: _Change, case: Case, limits: Limits) -> tuple[Any, Needs]:
    """The first value that is enough, or the last one."""
    for value in change.values:
        then = needs(*change.apply(case, value))
        if not limits.excess(then):
            break
    return value, then


def _told(change: _Change, value: Any) -> str:
    """As YAML has it."""
    if isinstance(value, LoRA):
        value = "{" + ", ".join(f"{key}: {of}" for key, of in value.model_dump().items()) + "}"
    return f"{change.key}: {'true' if value is True else value}"


def _changes(case: Case) -> Iterator[_Change]:
    """The changes that there are for a job, and that a plan does not refuse."""
    job, setting = case
    where, loading = f"tasks.{job.task}", job.loading
    if isinstance(job, ReinforceJob | FinetuneJob):
        if not job.loading.gradient_checkpointing:
            key = f"{where}.model.gradient_checkpointing"
            yield _Change(key, [True], _set("loading", "gradient_checkpointing"))
        if job.loading.lora is None and not setting.sharded:
            yield _Change(f"{where}.model.lora", [ADAPTER], _set("loading", "lora"))
    if isinstance(job, ReinforceJob):
        at_a_time = job.rl.prompts_per_micro_batch or job.rl.prompts_per_batch
        if fewer := _halves(min(at_a_time, job.rl.prompts_per_batch // setting.processes)):
            key = f"{where}.rl.prompts_per_micro_batch"
            yield _Change(key, fewer, _set("rl", "prompts_per_micro_batch"))
        if setting.on_gpu and job.loading.lora is None and job.loading.reference == "beside":
            key = f"{where}.model.reference"
            yield _Change(key, ["cpu"], _set("loading", "reference"), last=True)
        more = [
            count
            for count in (2, 4, 8)
            if count > setting.processes
            and not any(part % count for part in job.rl.fresh_and_offline)
        ]
        if setting.on_gpu and more and setting.generation.engine != "vllm":
            yield _Change("compute.processes", more, _put("processes"))
        if setting.processes > 1 and not setting.sharded and job.loading.lora is None:
            yield _Change("compute.sharded", [True], _put("sharded"))
    if isinstance(job, FinetuneJob):
        at_a_time = job.sft.traces_per_micro_batch or job.sft.batch_size
        if fewer := [n for n in _halves(at_a_time) if job.sft.batch_size % n == 0]:
            key = f"{where}.sft.traces_per_micro_batch"
            yield _Change(key, fewer, _set("sft", "traces_per_micro_batch"))
    if isinstance(job, SampleJob | GenerateJob | TrackJob | ReinforceJob):
        if setting.generation.engine == "vllm":
            # Not as little as would fit: it must hold a conversation as long as the context.
            smaller = _halves(setting.generation.cache_mb)[:3]
            yield _Change(f"{where}.generation.cache_mb", smaller, _put_cache)
        elif fewer := _halves(job.generation.batch_size):
            yield _Change(f"{where}.generation.batch_size", fewer, _set("generation", "batch_size"))
    if loading.dtype == "float32":
        yield _Change(f"{where}.model.dtype", ["bfloat16"], _set("loading", "dtype"))
    if loading.attention == "eager":
        yield _Change(f"{where}.model.attention", ["sdpa"], _set("loading", "attention"))


def _halves(count: int) -> list[int]:
    """Half of it, a quarter, ... 1."""
    return [count >> shift for shift in range(1, count.bit_length())]


def _set(section: str, key: str) -> Callable[[Case, Any], Case]:
    def apply(case: Case, value: Any) -> Case:
        job, setting = case
        changed = getattr(job, section).model_copy(update={key: value})
        return job.model_copy(update={section: changed}), setting

    return apply


def _put(key: str) -> Callable[[Case, Any], Case]:
    return lambda case, value: (case[0], replace(case[1], **{key: value}))


def _put_cache(case: Case, value: int) -> Case:
    generation = case[1].generation.model_copy(update={"cache_mb": value})
    return case[0], replace(case[1], generation=generation)


def limits_of(job: MemoryJob, device: str) -> Limits:
    """The limits of a run on a device.

    Raises:
        ConfigError: there is no GPU here to say how much memory it has.
    """
    main = job.memory_mb * MIB
    if device == "cpu":
        return Limits(None, main)
    if job.gpu_memory_gb is not None:
        return Limits(int(job.gpu_memory_gb * GIB), main)
    if not torch.cuda.is_available():
        raise ConfigError(
            "compute.gpu_memory_gb: null, but torch finds no GPU here that could say: give the "
            "memory of the GPU that the run will have"
        )
    return Limits(torch.cuda.get_device_properties(0).total_memory, main)
