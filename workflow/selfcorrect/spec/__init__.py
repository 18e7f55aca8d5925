"""The config as frozen, typed objects; unknown keys and impossible values are refused by name.

This package is the one description of the config: ``workflow/schemas/config.schema.json`` and
``docs/config.md`` are generated from it (``python -m selfcorrect.reference``), and a test keeps
them equal.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from selfcorrect.spec.carry import CarryCorpus, CarryProblems
from selfcorrect.spec.kinds import Count, Name
from selfcorrect.spec.mathematics import GSM8KProblems, MathProblems
from selfcorrect.spec.methods import Method, RLOverrides, SFTOverrides, STaR
from selfcorrect.spec.precedence import PrecedenceCorpus, PrecedenceProblems
from selfcorrect.spec.problems import Problems
from selfcorrect.spec.programs import HumanEvalProblems, MBPPProblems
from selfcorrect.spec.training import (
    RL,
    SFT,
    Adaptation,
    Evaluation,
    Generation,
    Loading,
    LoRA,
    Model,
    Pretraining,
    Sampling,
    TinyModel,
)
from selfcorrect.validation import KeyFaultError, Strict

__all__ = [
    "RL",
    "SFT",
    "Adaptation",
    "CarryCorpus",
    "CarryProblems",
    "Config",
    "Corpus",
    "Count",
    "Evaluation",
    "GSM8KProblems",
    "Generation",
    "HumanEvalProblems",
    "LoRA",
    "Loading",
    "MBPPProblems",
    "MathProblems",
    "Method",
    "Model",
    "PrecedenceCorpus",
    "PrecedenceProblems",
    "Pretraining",
    "Problems",
    "RLOverrides",
    "SFTOverrides",
    "STaR",
    "Sampling",
    "Sweep",
    "Task",
    "TinyModel",
]

Corpus = Annotated[CarryCorpus | PrecedenceCorpus, Field(discriminator="kind")]


class Task(Strict):
    """Everything about one task: problems, base model, and the settings methods start from."""

    variant_of: Name | None = Field(
        None, description="inherit all keys of that task; the keys given here replace its"
    )
    data: Problems = Field(description="the task and its problems")
    test: Problems | None = Field(
        description="where the evaluated problems come from; null: from `data`. The paper trains "
        "programs on MBPP and evaluates them on HumanEval"
    )
    corpus: Corpus | None = Field(
        description="what the tiny base model is pretrained on; null where `model.path` is given"
    )
    model: Model = Field(description="the base model")
    generation: Generation = Field(description="limits of sampling")
    sampling: Sampling = Field(description="traces for SFT and for offline first attempts")
    sft: SFT = Field(description="fine-tuning; a method may override each key")
    star: STaR = Field(STaR(), description="what differs from `sft` for methods of `traces: star`")
    rl: RL = Field(description="reinforcement learning; a method may override each key")
    evaluation: Evaluation = Field(description="evaluation")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.corpus is None and self.model.path is None:
            raise KeyFaultError("corpus", "needed to pretrain a base model; or give `model.path`")
        if self.corpus is not None and self.corpus.kind != self.data.kind:
            raise KeyFaultError(
                "corpus.kind", f"{self.corpus.kind!r}, but the data is of kind {self.data.kind!r}"
            )
        there = getattr(self.evaluated, self.evaluation.split)
        if self.evaluation.problems > there:
            raise KeyFaultError(
                "evaluation.problems",
                f"{self.evaluation.problems} asked of {there} {self.evaluation.split} problems",
            )
        repairs = self.evaluation.repairs
        given = repairs.file is not None or repairs.writer is not None
        if repairs.problems and not given and not hasattr(self.repaired, "repair"):
            raise KeyFaultError(
                "evaluation.repairs.problems",
                f"{self.repaired.kind} has no attempts of its own to repair; give a `file` or a "
                "`writer`, or 0",
            )
        if not getattr(self.repaired, self.evaluation.split):
            raise KeyFaultError(
                "evaluation.repairs.at",
                f"{self.repaired.kind} has no {self.evaluation.split} problems",
            )
        if self.sampling.problems > self.data.train:
            raise KeyFaultError(
                "sampling.problems",
                f"{self.sampling.problems} asked of {self.data.train} train problems",
            )
        return self

    @property
    def evaluated(self) -> Problems:
        """The section of the problems that are evaluated."""
        return self.test or self.data

    @property
    def repaired(self) -> Problems:
        """The section of those that repaired attempts are at."""
        return self.data if self.evaluation.repairs.at == "trained" else self.evaluated

    @property
    def sections(self) -> dict[str, Problems]:
        """All sections that problems come from, by key."""
        return {"data": self.data} | ({} if self.test is None else {"test": self.test})


class Run(Strict):
    """What of the config below is run."""

    tasks: tuple[Name, ...] = Field(min_length=1, description="tasks to run, keys of `tasks`")
    methods: Literal["all", "sweeps"] | tuple[Name, ...] = Field(
        description="'all', those of `sweeps`, or the methods to show, keys of `methods`; the base "
        "is always among them, and what they start from is trained too"
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, description="run seeds; each trains its own base model and every method"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key, entries in {
            "tasks": self.tasks,
            "methods": self.methods,
            "seeds": self.seeds,
        }.items():
            if not isinstance(entries, str) and len(set(entries)) < len(entries):
                raise KeyFaultError(key, f"{list(entries)} names one twice")
        return self


class Compute(Strict):
    """How the work is spread; results depend on the thread counts in their last bits."""

    device: Literal["cpu", "cuda"] = Field(
        description="where models are; with cuda each job that uses a model asks Snakemake for "
        "the resource `gpu`; a tiny model is pretrained on the CPU"
    )
    processes: Count = Field(
        description="processes of an RL job, each with a share of every batch and a GPU of its own"
    )
    sharded: bool = Field(
        description="keep weights, gradients, optimiser and reference of an RL job in parts on its "
        "`processes`, of which it needs 2 or more; not with `model.lora`"
    )
    memory_mb: Count = Field(
        description="main memory of a job that uses a model: what is asked of a cluster, and "
        "how many jobs run at a time where Snakemake is given `--resources mem_mb=...`; one that "
        "would need more (docs/memory.md) is refused, where `model.path` is given"
    )
    gpu_memory_gb: float | None = Field(
        gt=0,
        description="memory of a GPU, in GiB, which a job may not exceed; null: as the GPU says, "
        "so that the plan needs one",
    )
    pretraining_threads: Count = Field(description="threads of the pretraining job")
    tensorboard: bool = Field(description="also write training curves for TensorBoard")
    sandbox_workers: Count = Field(
        description="programs that a job executes at a time, where answers are programs"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sharded and self.processes == 1:
            raise KeyFaultError("sharded", "needs `processes` of 2 or more")
        return self


class Sweep(Strict):
    """One setting over several values, which a figure is drawn of: of methods, or of tasks."""

    label: str = Field(description="name of what is varied, at the figure's axis")
    methods: dict[Name, float | str] = Field({}, description="methods, each with its value")
    tasks: dict[Name, float | str] = Field({}, description="or tasks, each with its value")
    lines: tuple[Name, ...] = Field((), description="methods that are shown over the `tasks`")
    attempt: Literal["second", "last"] = Field(
        "second", description="the attempt that is shown beside the first"
    )
    source: str = Field(
        "beyond the paper", description="the figure of the paper that it is the counterpart of"
    )
    note: str = Field("", description="a sentence for the caption: what else a reader must know")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.methods) == bool(self.tasks):
            raise KeyFaultError("methods", "give `methods` or `tasks`, one of them")
        if bool(self.tasks) != bool(self.lines):
            raise KeyFaultError("lines", "goes with `tasks`: the methods that are shown")
        values = [*self.methods.values(), *self.tasks.values()]
        if len({isinstance(value, str) for value in values}) > 1:
            raise KeyFaultError("methods", "values are all numbers or all words")
        return self


class Config(Strict):
    """The whole config."""

    results: str = Field(min_length=1, description="folder of all results")
    run: Run = Field(description="what is run")
    compute: Compute = Field(description="how the work is spread")
    tasks: dict[Name, Task] = Field(description="the tasks")
    methods: dict[Name, Method] = Field(description="the methods")
    sweeps: dict[Name, Sweep] = Field({}, description="settings that are varied, for figures")
