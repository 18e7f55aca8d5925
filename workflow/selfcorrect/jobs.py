"""Job specs: what one job depends on and nothing else.

A job whose spec changes is run again, but for its settings of memory.
"""

from typing import Literal

from pydantic import Field

from selfcorrect import spec
from selfcorrect.spec import RL, SFT, Count
from selfcorrect.spec.kinds import Instruction, Transition
from selfcorrect.validation import Strict

# How much is computed at a time, and where, by section and key. What comes out is the same up to
# rounding (which may tip a token), so another value runs no finished job again, and a stopped one
# goes on with it.
MEMORY = {
    "loading": {"gradient_checkpointing", "reference"},
    "generation": {"batch_size", "cache_mb"},
    "rl": {"prompts_per_micro_batch"},
    "sft": {"traces_per_micro_batch"},
}


class Job(Strict):
    """What every job of a node knows."""

    task: str = Field(description="name of the task in the config")
    node: str = Field(description="the node that the job works for")
    seed: int = Field(description="run seed")
    data: spec.Problems


class PretrainJob(Job):
    """Make the tiny base model."""

    corpus: spec.Corpus
    tiny: spec.TinyModel
    pretraining: spec.Pretraining
    threads: int


class SampleJob(Job):
    """Sample two-turn traces of training problems."""

    loading: spec.Loading
    generation: spec.Generation
    sampling: spec.Sampling


class SelectJob(Job):
    """Choose the traces to fine-tune on."""

    traces: Literal["star", "pair"]
    transitions: tuple[Transition, ...]
    max_traces: Count


class FinetuneJob(Job):
    """Fine-tune on selected traces."""

    loading: spec.Adaptation
    sft: SFT
    snapshots: int = Field(description="models kept on the way, evenly spaced")


class ReinforceJob(Job):
    """Train by the multi-turn policy gradient."""

    loading: spec.Adaptation
    generation: spec.Generation
    instruction: Instruction
    rl: RL


class Decode(Strict):
    """One way of attempting problems: ``decoding`` is its name in trace files."""

    decoding: Literal["greedy", "sampled", "repair", "voting", "familiar"]
    problems: Count = Field(description="from the first")
    turns: Count = Field(description="attempts of a trace")
    samples: Count = Field(description="traces of a problem")
    temperature: float = Field(description="0 is greedy")


class GenerateJob(Job):
    """Sample attempts that are evaluated."""

    loading: spec.Loading
    generation: spec.Generation
    split: Literal["train", "validation", "test"]
    instruction: Instruction
    window: Count
    repairs: spec.Problems | None = Field(description="of repaired attempts; null: as `data`")
    passes: tuple[Decode, ...] = Field(min_length=1)


class TrackJob(Job):
    """Sample attempts of models that were kept during a fine-tuning."""

    loading: spec.Loading
    generation: spec.Generation
    split: Literal["validation", "test"]
    instruction: Instruction
    problems: Count


class ScreenJob(Strict):
    """Choose the wrong ones of given attempts, to be repaired."""

    task: str
    data: spec.Problems
    split: Literal["validation", "test"]


class WriteJob(Strict):
    """Have another model write first attempts, to be repaired where they are wrong."""

    task: str
    data: spec.Problems
    loading: spec.Loading
    generation: spec.Generation
    split: Literal["validation", "test"]


class GradeJob(Job):
    """Grade attempts."""

    repairs: spec.Problems | None = Field(description="of repaired attempts; null: as `data`")
    split: Literal["train", "validation", "test"]


class MemoryJob(Strict):
    """Find out whether what a task's models are used for can fit: the jobs of one seed."""

    task: str
    generation: spec.Generation
    sample: tuple[SampleJob, ...]
    finetune: tuple[FinetuneJob, ...]
    reinforce: tuple[ReinforceJob, ...]
    generate: tuple[GenerateJob, ...] = Field(min_length=1)
    track: tuple[TrackJob, ...]
    processes: Count = Field(description="of an RL job")
    sharded: bool = Field(description="whether they keep what is trained in parts")
    memory_mb: Count = Field(description="main memory of a job, in MiB")
    gpu_memory_gb: float | None = Field(description="of a GPU, in GiB; null: as the GPU says")
