"""From the config to the jobs: which models exist, what each comes from, and each job's spec.

A *node* is a model or a prompt on a model: every method is a node, and every round but the last of
a method that fine-tunes in rounds is one more (``star_d.round1``). Job specs are in ``jobs``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from selfcorrect.jobs import (
    Decode,
    FinetuneJob,
    GenerateJob,
    GradeJob,
    MemoryJob,
    PretrainJob,
    ReinforceJob,
    SampleJob,
    ScreenJob,
    SelectJob,
    TrackJob,
    WriteJob,
)
from selfcorrect.reporting import MethodRow, ReportJob, Shown
from selfcorrect.spec import (
    RL,
    SFT,
    Adaptation,
    Config,
    Evaluation,
    Loading,
    Method,
    Model,
    Problems,
    RLOverrides,
    Task,
)
from selfcorrect.spec.source import local_files
from selfcorrect.validation import AnyModel, ConfigError, Strict, parse

Kind = Literal["base", "prompt", "sft", "rl"]
# What is looked at of an evaluated method, as its files' names begin: the evaluation itself, from
# which the tables come, and what figures need beside it.
View = Literal["", "voting_", "familiar_", "snapshots_"]
VIEWS: tuple[View, ...] = get_args(View)
AnyLoading = TypeVar("AnyLoading", bound=Loading)


@dataclass(frozen=True)
class Node:
    """A model of one task and how it is made from its ``parent``'s.

    ``kind``: ``base`` (pretrained or loaded), ``prompt`` (the parent's model with another
    instruction), ``sft`` or ``rl``. ``settings`` are the task's with the method's on top.
    """

    name: str
    method: str
    kind: Kind
    parent: str | None
    settings: RL | SFT | None = None


class Plan:
    """All nodes and job specs of a config; settings that cannot be combined are refused here."""

    def __init__(self, config: Config) -> None:
        """Resolve every method on every task that is run.

        Raises:
            ConfigError: a method's overrides do not fit the task's settings.
        """
        self.config = config
        self.nodes: dict[str, dict[str, Node]] = {
            task: {node.name: node for node in self._nodes_of(task)} for task in config.run.tasks
        }
        self._check_processes()

    def _check_processes(self) -> None:
        compute = self.config.compute
        for task, nodes in self.nodes.items():
            if compute.processes > 1 and self.config.tasks[task].generation.engine == "vllm":
                raise ConfigError(
                    f"tasks.{task}.generation.engine: vllm samples in one process, and "
                    f"compute.processes is {compute.processes}"
                )
            if compute.sharded and self.config.tasks[task].model.lora is not None:
                raise ConfigError(
                    f"tasks.{task}.model.lora: an adapter is too small to be kept in parts; set "
                    "compute.sharded: false"
                )
            for node in nodes.values():
                if isinstance(node.settings, RL):
                    rl = node.settings
                    keys = "rl.prompts_per_batch"
                    said = f"{rl.prompts_per_batch} problems of a batch"
                    if rl.fresh_and_offline[1]:
                        keys += " and rl.offline_first_attempts"
                        said += f", {rl.fresh_and_offline[1]} of them with offline first attempts,"
                    if any(problems % compute.processes for problems in rl.fresh_and_offline):
                        raise ConfigError(
                            f"compute.processes: {compute.processes} cannot share the {said} "
                            f"equally ({keys} of methods.{node.method} on tasks.{task})"
                        )

    # nodes

    def methods(self) -> list[str]:
        """The methods that are evaluated, in the config's order; the base is always among them."""
        wanted = self.config.run.methods
        if wanted == "all":
            return list(self.config.methods)
        if wanted == "sweeps":
            swept = self.config.sweeps.values()
            wanted = tuple(name for sweep in swept for name in (*sweep.methods, *sweep.lines))
        return [name for name in self.config.methods if name == "base" or name in wanted]

    def _nodes_of(self, task: str) -> Iterator[Node]:
        needed = set()
        for name in self.methods():
            at: str | None = name
            while at is not None:
                needed.add(at)
                at = self.config.methods[at].start
        for name in self.config.methods:
            if name in needed:
                yield from _chain(task, self.config.tasks[task], name, self.config.methods[name])

    def owner(self, task: str, node: str) -> str:
        """The node whose model ``node`` uses: itself, or for a prompt the model it is put to."""
        found = self.nodes[task][node]
        return self.owner(task, found.parent) if found.kind == "prompt" and found.parent else node

    def followers(self, task: str, node: str) -> int:
        """How many nodes follow on ``node`` one after the other, in the longest line of them."""
        found = self.nodes[task].values()
        return max((1 + self.followers(task, n.name) for n in found if n.parent == node), default=0)

    # job specs; each takes (task, node, seed), Snakemake's wildcards

    def pretrain(self, task: str, node: str, seed: int) -> PretrainJob:
        """Spec of the pretraining job."""
        of = self.config.tasks[task]
        assert of.corpus and of.model.tiny and of.model.pretraining
        return PretrainJob(
            task=task, node=node, seed=seed, data=of.data, corpus=of.corpus,
            tiny=of.model.tiny, pretraining=of.model.pretraining,
            threads=self.config.compute.pretraining_threads,
        )  # fmt: skip

    def sample(self, task: str, node: str, seed: int) -> SampleJob:
        """Spec of sampling traces from ``node``'s model."""
        of = self.config.tasks[task]
        return SampleJob(
            task=task, node=node, seed=seed, data=of.data,
            loading=_part(of.model, Loading), generation=of.generation, sampling=of.sampling,
        )  # fmt: skip

    def select(self, task: str, node: str, seed: int) -> SelectJob:
        """Spec of choosing the traces that ``node`` is fine-tuned on."""
        method = self.config.methods[self.nodes[task][node].method]
        sft = self._sft(task, node)
        assert method.sft is not None
        return SelectJob(
            task=task, node=node, seed=seed, data=self.config.tasks[task].data,
            traces=method.sft.traces,
            transitions=method.sft.transitions, max_traces=sft.max_traces,
        )  # fmt: skip

    def finetune(self, task: str, node: str, seed: int) -> FinetuneJob:
        """Spec of fine-tuning ``node``."""
        of = self.config.tasks[task]
        return FinetuneJob(
            task=task, node=node, seed=seed, data=of.data,
            loading=_part(of.model, Adaptation), sft=self._sft(task, node),
            snapshots=of.evaluation.snapshots.count if self.is_tracked(task, node) else 0,
        )  # fmt: skip

    def reinforce(self, task: str, node: str, seed: int) -> ReinforceJob:
        """Spec of training ``node`` by RL."""
        of, rl = self.config.tasks[task], self.nodes[task][node].settings
        assert isinstance(rl, RL)
        return ReinforceJob(
            task=task, node=node, seed=seed, data=of.data,
            loading=_part(of.model, Adaptation), generation=of.generation,
            instruction=self.config.methods[node].instruction, rl=rl,
        )  # fmt: skip

    def generate(self, task: str, node: str, seed: int, view: View = "") -> GenerateJob:
        """Spec of sampling ``node``'s attempts, those of one view of it."""
        of = self.config.tasks[task]
        evaluation = of.evaluation
        familiar = view == "familiar_"
        return GenerateJob(
            task=task, node=node, seed=seed,
            data=of.data if familiar else of.evaluated,
            split="train" if familiar else evaluation.split,
            loading=_part(of.model, Loading), generation=of.generation,
            instruction=self.config.methods[node].instruction,
            window=self.window(task, node),
            repairs=_repaired(of) if view == "" else None,
            passes=tuple(_passes(evaluation, node, view)),
        )  # fmt: skip

    def window(self, task: str, node: str) -> int:
        """How many earlier attempts a model sees in evaluation: as many as in training, or more."""
        settings = self.nodes[task][self.owner(task, node)].settings
        trained = settings.turns - 1 if isinstance(settings, RL) else 1
        return max(self.config.tasks[task].evaluation.window, trained)

    def shows(self, task: str, node: str, view: View) -> bool:
        """Whether a view of an evaluated method is asked for."""
        of = self.config.tasks[task].evaluation
        asked = {"voting_": of.voting.methods, "familiar_": of.familiar.methods}
        if view == "snapshots_":
            return self.is_tracked(task, node)
        return view == "" or node in asked[view]

    def is_tracked(self, task: str, node: str) -> bool:
        """Whether models are kept while ``node`` is fine-tuned."""
        asked = self.config.tasks[task].evaluation.snapshots.methods
        return node in asked and self.nodes[task][node].kind == "sft"

    def track(self, task: str, node: str, seed: int) -> TrackJob:
        """Spec of sampling attempts of the models that were kept while ``node`` was fine-tuned."""
        of = self.config.tasks[task]
        return TrackJob(
            task=task, node=node, seed=seed, data=of.evaluated,
            loading=_part(of.model, Loading), generation=of.generation, split=of.evaluation.split,
            instruction=self.config.methods[node].instruction,
            problems=min(of.evaluation.snapshots.problems, of.evaluation.problems),
        )  # fmt: skip

    def screen(self, task: str) -> ScreenJob:
        """Spec of choosing the attempts of a file that are to be repaired."""
        of = self.config.tasks[task]
        return ScreenJob(task=task, data=of.repaired, split=of.evaluation.split)

    def write(self, task: str) -> WriteJob:
        """Spec of having another model write the attempts that are to be repaired."""
        of = self.config.tasks[task]
        return WriteJob(
            task=task, data=of.repaired,
            # The revision is the base model's, and this is another.
            loading=_part(of.model, Loading).model_copy(update={"revision": None}),
            generation=of.generation, split=of.evaluation.split,
        )  # fmt: skip

    def grade(self, task: str, node: str, seed: int, view: View = "") -> GradeJob:
        """Spec of grading ``node``'s attempts, those of one view of it."""
        of = self.config.tasks[task]
        if view == "familiar_":
            return GradeJob(
                task=task, node=node, seed=seed, data=of.data, repairs=None, split="train"
            )
        return GradeJob(
            task=task, node=node, seed=seed, data=of.evaluated,
            repairs=_repaired(of) if view == "" else None, split=of.evaluation.split,
        )  # fmt: skip

    def memory(self, task: str) -> MemoryJob:
        """Spec of planning the memory of a task's jobs; all seeds need the same."""
        compute, seed = self.config.compute, self.config.run.seeds[0]
        nodes = self.nodes[task].values()
        sampled = [self.owner(task, n.parent) for n in nodes if n.kind == "sft" and n.parent]
        mixing = [n for n in nodes if isinstance(n.settings, RL)
                  and n.settings.offline_first_attempts]  # fmt: skip
        sampled += ["base"] if mixing else []
        return MemoryJob(
            task=task, generation=self.config.tasks[task].generation,
            sample=tuple(self.sample(task, name, seed) for name in dict.fromkeys(sampled)),
            finetune=tuple(self.finetune(task, n.name, seed) for n in nodes if n.kind == "sft"),
            reinforce=tuple(self.reinforce(task, n.name, seed) for n in nodes if n.kind == "rl"),
            generate=tuple(
                self.generate(task, name, seed, view)
                for name in self.methods()
                for view in VIEWS
                if view != "snapshots_" and self.shows(task, name, view)
            ),
            track=tuple(
                self.track(task, name, seed)
                for name in self.methods()
                if self.is_tracked(task, name)
            ),
            processes=compute.processes, sharded=compute.sharded,
            memory_mb=compute.memory_mb, gpu_memory_gb=compute.gpu_memory_gb,
        )  # fmt: skip

    def report(self) -> ReportJob:
        """Spec of the tables and figures."""
        rows = []
        for name in self.methods():
            method = self.config.methods[name]
            rows.append(MethodRow(name=name, label=method.label, tables=method.tables))
        tasks = self.config.run.tasks
        chains = tuple(self._chain_of(row.name) for row in rows if self._trains(row.name))
        return ReportJob(
            tasks=tasks,
            programming=tuple(name for name in tasks if self.runs_programs(name)),
            temperatures={name: self.config.tasks[name].evaluation.temperature for name in tasks},
            seeds=self.config.run.seeds,
            methods=tuple(rows),
            trained={
                name: self.config.methods[name].label
                for chain in chains
                for name in chain
                if name not in self.methods()
            },
            chains=chains,
            shown={
                view: {task: self._shown(task, view) for task in tasks} for view in get_args(Shown)
            },
            voting_temperatures={
                name: self.config.tasks[name].evaluation.voting.temperature for name in tasks
            },
            windows={
                task: {name: self.window(task, name) for name in self._shown(task, "attempts")}
                for task in tasks
            },
            sweeps=self.config.sweeps,
        )

    def files(self, task: str) -> list[str]:
        """The local files that its problems are read from."""
        sections = self.config.tasks[task].sections.values()
        return sorted({path for data in sections for path in local_files(data).values()})

    def runs_programs(self, task: str) -> bool:
        """Whether a task's answers are programs, which grading executes."""
        return any(hasattr(data, "sandbox") for data in self.config.tasks[task].sections.values())

    def sandbox_mb(self, task: str) -> int:
        """What the programs that are executed side by side may take, in MiB."""
        sections = self.config.tasks[task].sections.values()
        limits = [data.sandbox for data in sections if hasattr(data, "sandbox")]
        most = max((each.memory_mb for each in limits), default=0)
        return self.config.compute.sandbox_workers * most

    def _shown(self, task: str, what: Shown) -> tuple[str, ...]:
        """The evaluated methods that are looked at in another way too."""
        many = self.config.tasks[task].evaluation.many_turns_for
        views: dict[Shown, View] = {
            "voting": "voting_", "familiar": "familiar_", "snapshots": "snapshots_",
        }  # fmt: skip
        return tuple(
            name for name in self.methods()
            if (name in many if what == "attempts" else self.shows(task, name, views[what]))
        )  # fmt: skip

    def _trains(self, method: str | None) -> bool:
        return method is not None and self.config.methods[method].rl is not None

    def _chain_of(self, method: str) -> tuple[str, ...]:
        start = self.config.methods[method].start
        before = self._chain_of(start) if start is not None and self._trains(start) else ()
        return (*before, method)

    def _sft(self, task: str, node: str) -> SFT:
        settings = self.nodes[task][node].settings
        assert isinstance(settings, SFT)
        return settings


def _part(model: Model, kind: type[AnyLoading]) -> AnyLoading:
    """What jobs of a kind need to know of the model."""
    return kind(**{key: getattr(model, key) for key in kind.model_fields})


def _repaired(of: Task) -> Problems | None:
    """Problems of the attempts that are repaired, where those are not the evaluated ones."""
    others = of.evaluation.repairs.problems > 0 and of.repaired != of.evaluated
    return of.repaired if others else None


def _passes(of: Evaluation, node: str, view: View) -> Iterator[Decode]:
    """How problems are attempted in a view."""
    greedy: dict[str, Any] = {"samples": 1, "temperature": 0.0}
    if view == "voting_":
        drawn: dict[str, Any] = {"samples": of.voting.samples, "temperature": of.voting.temperature}
        problems = min(of.voting.problems, of.problems)
        yield Decode(decoding="voting", problems=problems, turns=2, **drawn)
    elif view == "familiar_":
        yield Decode(decoding="familiar", problems=of.familiar.problems, turns=2, **greedy)
    else:
        turns = of.many_turns if node in of.many_turns_for else of.turns
        yield Decode(decoding="greedy", problems=of.problems, turns=turns, **greedy)
        if of.samples:
            drawn = {"samples": of.samples, "temperature": of.temperature}
            yield Decode(decoding="sampled", problems=of.problems, turns=of.turns, **drawn)
        if of.repairs.problems:
            yield Decode(decoding="repair", problems=of.repairs.problems, turns=2, **greedy)


def _chain(task_name: str, task: Task, name: str, method: Method) -> Iterable[Node]:
    """The nodes of one method: one, or one a round."""
    if method.rl is not None:
        rl = _settings(RL, task_name, name, task.rl, method.rl)
        yield Node(name, name, "rl", method.start, rl)
    elif method.sft is not None:
        stars = (task.star,) if method.sft.traces == "star" else ()
        sft = _settings(SFT, task_name, name, task.sft, *stars, method.sft)
        parent = method.start
        for round_ in range(1, method.sft.rounds + 1):
            own = name if round_ == method.sft.rounds else f"{name}.round{round_}"
            yield Node(own, name, "sft", parent, sft)
            parent = own
    else:
        yield Node(name, name, "base" if method.start is None else "prompt", method.start)


def _settings(
    kind: type[AnyModel], task: str, method: str, default: Strict, *overrides: Strict
) -> AnyModel:
    """A task's settings with each of ``overrides`` on top, the method's own last."""
    settings = default.model_dump()
    for layer in overrides:
        given = layer.model_dump()
        settings |= {key: value for key, value in given.items() if key in kind.model_fields}
    own = overrides[-1]
    if isinstance(own, RLOverrides):
        if own.steps is not None and own.share != 1:
            raise ConfigError(
                f"methods.{method}.rl.share: {own.share:g} is a share of the task's steps, "
                f"and rl.steps: {own.steps} is given too; set share: 1 to have that many, or "
                "leave steps out"
            )
        if settings["steps"] is not None:  # null is refused below
            settings["steps"] = max(1, round(own.share * settings["steps"]))
    try:
        return parse(kind, settings)
    except ConfigError as error:
        which = "rl" if kind is RL else "sft"
        raise ConfigError(f"methods.{method}.{which} on tasks.{task}.{which}: {error}") from None
