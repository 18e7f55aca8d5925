"""The config: good ones load, faulty ones are refused by key, and no key is without effect."""

import copy
import json
import operator
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import validate

from selfcorrect import config, reference, spec, validation
from selfcorrect.plan import VIEWS, Plan
from selfcorrect.validation import ConfigError

REPOSITORY = Path(__file__).parents[1]
DEFAULT = config.default(REPOSITORY)
EMBEDDED = DEFAULT["run"]["tasks"]
DEFAULT["run"]["tasks"] = list(DEFAULT["tasks"])
OVERLAYS = sorted((REPOSITORY / "config/experiments").rglob("*.yaml"))

Raw = dict[str, Any]


def get(raw: Raw, path: str) -> Any:
    return reduce(operator.getitem, path.split("."), raw)


def changed(changes: Raw) -> Raw:
    """The default config with the value at each dotted path replaced, or made."""
    raw = copy.deepcopy(DEFAULT)
    for path, value in changes.items():
        *sections, key = path.split(".")
        reduce(lambda at, section: at.setdefault(section, {}), sections, raw)[key] = value
    return raw


# --- good configs -----------------------------------------------------------------------------


def test_the_default_config_loads():
    Plan(config.load(DEFAULT))
    validate(copy.deepcopy(DEFAULT), str(REPOSITORY / reference.SCHEMA), set_default=False)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_every_overlay_loads(overlay):
    raw = config.merged(DEFAULT, yaml.safe_load(overlay.read_text()))
    assert Plan(config.load(raw)).methods()
    validate(config.expanded(raw), str(REPOSITORY / reference.SCHEMA), set_default=False)
    commanded = re.findall(r"--configfile (\S+)", overlay.read_text().replace(" \\\n#      ", ""))
    assert any(fnmatch(str(overlay.relative_to(REPOSITORY)), pattern) for pattern in commanded)


@pytest.mark.parametrize("path", [reference.SCHEMA, reference.REFERENCE], ids=str)
def test_the_generated_files_are_up_to_date(path):
    assert (REPOSITORY / path).read_text() == reference.generated()[path], (
        "run `python -m selfcorrect.reference`"
    )


def test_a_variant_inherits_what_it_does_not_replace():
    variant = {"label": "V", "variant_of": "score", "rl": {"beta1": 0.5}}
    method = config.load(changed({"methods.v": variant})).methods["v"]
    assert (method.start, method.rl.beta1) == (get(DEFAULT, "methods.score.start"), 0.5)
    assert method.rl.alpha == get(DEFAULT, "methods.score.rl.alpha")


def test_a_variant_that_trains_otherwise_leaves_the_inherited_training():
    sft = {"traces": "star", "transitions": ["wrong_right"]}
    variant = {"label": "V", "variant_of": "score", "sft": sft}
    method = config.load(changed({"methods.v": variant})).methods["v"]
    assert method.rl is None
    assert method.sft is not None


def test_star_settings_stand_between_the_tasks_and_the_methods():
    raw = changed(
        {
            "run.tasks": ["carry"],
            "tasks.carry.sft.max_traces": 5,
            "tasks.carry.star": {"epochs": 7, "batch_size": 3},
            "methods.star_d_plus.sft.epochs": 11,
        }
    )
    nodes = Plan(config.load(raw)).nodes["carry"]
    found = {name: nodes[name].settings for name in ("star_d", "star_d_plus", "pair_sft_d")}
    usual = get(DEFAULT, "tasks.carry.sft")
    assert {name: (sft.epochs, sft.batch_size, sft.max_traces) for name, sft in found.items()} == {
        "star_d": (7, 3, 5),
        "star_d_plus": (11, 3, 5),
        "pair_sft_d": (usual["epochs"], usual["batch_size"], 5),
    }


def test_a_date_in_yaml_is_the_text_that_was_written():
    raw = changed({"tasks.carry.model.path": "some/model"})
    raw["tasks"]["carry"]["model"]["revision"] = yaml.safe_load("2024-05-01")
    assert config.load(raw).tasks["carry"].model.revision == "2024-05-01"


def test_votes_are_of_evaluated_problems():
    plan = Plan(config.load(changed({"tasks.carry.evaluation.problems": 10})))
    (voting,) = plan.generate("carry", "score", 0, "voting_").passes
    assert voting.problems == 10


# --- faulty configs ---------------------------------------------------------------------------

TASK = "tasks.carry"
CODE = "tasks.precedence"
HUMANEVAL = {
    "kind": "humaneval",
    "path": None,
    "sha256": None,
    "sandbox": get(DEFAULT, CODE)["data"]["sandbox"],
}
REPAIRS = {"problems": 1, "at": "evaluated", "file": None, "writer": None}

FAULTS = {
    "parts of one process": ({"compute.sharded": True}, "compute.sharded: needs `processes`"),
    "an adapter in parts": (
        {
            "compute.sharded": True,
            "compute.processes": 2,
            f"{TASK}.model.lora": {"rank": 8, "alpha": 16.0, "modules": "all-linear"},
        },
        f"{TASK}.model.lora: an adapter is too small",
    ),
    "a batch that cannot be shared": (
        {"compute.processes": 3},
        "compute.processes: 3 cannot share the 32 problems",
    ),
    "offline first attempts that cannot be shared": (
        {
            "compute.processes": 2,
            f"{TASK}.rl.prompts_per_batch": 6,
            "methods.score.rl.offline_first_attempts": 0.5,
        },
        "compute.processes: 2 cannot share the 6 problems of a batch, 3 of them with offline first "
        "attempts, equally (rl.prompts_per_batch and rl.offline_first_attempts of methods.score",
    ),
    "no model to pretrain": ({f"{TASK}.model.tiny": None}, f"{TASK}.model.tiny: needed to"),
    "unknown section": ({"rnu": {}}, "rnu: unknown key; did you mean `run`?"),
    "unknown key": (
        {f"{TASK}.rl.alhpa": 1.0},
        f"{TASK}.rl.alhpa: unknown key; did you mean `alpha`?",
    ),
    "unknown override": ({"methods.stage1.rl.step": 3}, "methods.stage1.rl.step: unknown key; did"),
    "unknown key of a method": (
        {"methods.base.lable": "B"},
        "methods.base.lable: unknown key; did",
    ),
    "missing section": ({TASK: {}}, f"{TASK}.data: missing"),
    "missing key": ({f"{TASK}.sampling": {"problems": 1}}, f"{TASK}.sampling.temperature: missing"),
    "section instead of nothing": ({"methods": None}, "methods: "),
    "nothing instead of a method": ({"methods.score": None}, "methods.score: "),
    "number as text": ({f"{TASK}.rl.learning_rate": "1e-5"}, f"{TASK}.rl.learning_rate: "),
    "number as text in a method": (
        {"methods.star_d.sft.learning_rate": "1e-5"},
        "methods.star_d.sft.learning_rate: ",
    ),
    "truth as number": ({f"{TASK}.rl.steps": True}, f"{TASK}.rl.steps: "),
    "fraction of steps": ({f"{TASK}.rl.steps": 1.5}, f"{TASK}.rl.steps: "),
    "number as list": ({f"{TASK}.rl.steps": [1]}, f"{TASK}.rl.steps: "),
    "not a number": ({f"{TASK}.rl.alpha": float("nan")}, f"{TASK}.rl.alpha: "),
    "infinite": ({f"{TASK}.rl.beta1": float("inf")}, f"{TASK}.rl.beta1: "),
    "negative alpha": ({f"{TASK}.rl.alpha": -1.0}, f"{TASK}.rl.alpha: "),
    "negative alpha of a method": ({"methods.score.rl.alpha": -1.0}, "methods.score.rl.alpha: "),
    "zero steps": ({f"{TASK}.rl.steps": 0}, f"{TASK}.rl.steps: "),
    "zero pretraining steps": (
        {f"{TASK}.model.pretraining.steps": 0},
        f"{TASK}.model.pretraining.steps: ",
    ),
    "zero rounds": ({"methods.star_d.sft.rounds": 0}, "methods.star_d.sft.rounds: "),
    "share above one": ({f"{TASK}.rl.gamma": 1.1}, f"{TASK}.rl.gamma: "),
    "unknown choice": ({f"{TASK}.rl.kl": "k2"}, f"{TASK}.rl.kl: "),
    "level above the width": (
        {f"{TASK}.data.levels": [5, 7], f"{TASK}.data.width": 6},
        f"{TASK}.data.levels: level 7 does not fit the width of 6 digits",
    ),
    "no level": ({f"{TASK}.data.levels": []}, f"{TASK}.data.levels: "),
    "more problems than there are": ({f"{TASK}.data.levels": [2]}, f"{TASK}.data.train: "),
    "more problems than there are of nines alone": (
        {f"{TASK}.data.levels": [4], f"{TASK}.data.nine_probability": 1.0},
        f"{TASK}.data.train: with validation and test ",
    ),
    "more problems evaluated than drawn": (
        {f"{TASK}.data.test": 10},
        f"{TASK}.evaluation.problems: ",
    ),
    "more problems sampled than drawn": (
        {f"{TASK}.sampling.problems": 10**9},
        f"{TASK}.sampling.problems: ",
    ),
    "mixture of first attempts": (
        {f"{TASK}.corpus.first": [1.0, 0.5]},
        f"{TASK}.corpus.first: these shares must sum to 1, not ",
    ),
    "mixture of revisions": ({f"{TASK}.corpus.revise.copied": 1.0}, f"{TASK}.corpus.revise: these"),
    "heads that do not fit": (
        {f"{TASK}.model.tiny.hidden_size": 63},
        f"{TASK}.model.tiny.hidden_size: ",
    ),
    "leave-one-out of one": (
        {f"{TASK}.rl.samples_per_prompt": 1},
        f"{TASK}.rl.samples_per_prompt: ",
    ),
    "no seed": ({"run.seeds": []}, "run.seeds: "),
    "negative seed": ({"run.seeds": [-1]}, "run.seeds.0: "),
    "duplicated seeds": ({"run.seeds": [1, 2, 1]}, "run.seeds: [1, 2, 1] names one twice"),
    "duplicated tasks": ({"run.tasks": ["carry", "carry"]}, "run.tasks: "),
    "unknown task": ({"run.tasks": ["carrots"]}, "run.tasks: there is no `carrots`"),
    "unknown method in run": (
        {"run.methods": ["scor"]},
        "run.methods: there is no `scor`; did you mean `score`?",
    ),
    "misspelt all": ({"run.methods": "al"}, "run.methods: Input should be 'all'"),
    "number for methods": ({"run.methods": [1]}, "run.methods.0: "),
    "unknown method with many turns": (
        {f"{TASK}.evaluation.many_turns_for": ["scor"]},
        f"{TASK}.evaluation.many_turns_for: there is no `scor`; did you mean `score`?",
    ),
    "unknown key of one kind of task": (
        {f"{CODE}.data.widht": 6},
        f"{CODE}.data.widht: unknown key; known here: kind, seed, operations",
    ),
    "wrong value of one kind of task": (
        {f"{CODE}.data.operations": [1]},
        f"{CODE}.data.operations.0: Input should be greater than or equal to 2",
    ),
    "unknown kind of task": ({f"{CODE}.data.kind": "precedent"}, f"{CODE}.data: "),
    "another task's corpus": (
        {f"{CODE}.corpus": get(DEFAULT, f"{TASK}.corpus")},
        f"{CODE}.corpus.kind: 'carry', but the data is of kind 'precedence'",
    ),
    "neither a corpus nor a model": ({f"{CODE}.corpus": None}, f"{CODE}.corpus: needed"),
    "several processes with vLLM": (
        {f"{TASK}.generation.engine": "vllm", "compute.processes": 2},
        f"{TASK}.generation.engine: vllm samples in one process, and compute.processes is 2",
    ),
    "two sources of attempts to repair": (
        {f"{CODE}.evaluation.repairs": {**REPAIRS, "file": "a", "writer": "b"}},
        f"{CODE}.evaluation.repairs.writer: give `file` or `writer`, not both",
    ),
    "repairs without any attempts": (
        {f"{TASK}.evaluation.repairs.problems": 1},
        f"{TASK}.evaluation.repairs.problems: carry has no attempts of its own",
    ),
    "problems of repairs that the split has not": (
        {
            f"{CODE}.evaluation.repairs": {**REPAIRS, "at": "trained", "file": "a"},
            f"{CODE}.data": HUMANEVAL,
            f"{CODE}.test": get(DEFAULT, f"{CODE}.data"),
            f"{CODE}.corpus": None,
            f"{CODE}.model.path": "some/model",
            f"{CODE}.evaluation.split": "validation",
        },
        f"{CODE}.evaluation.repairs.at: humaneval has no validation problems",
    ),
    "a share of steps that are given": (
        {"methods.mine": {"label": "M", "variant_of": "score", "rl": {"steps": 400}}},
        "methods.mine.rl.share: 0.5 is a share of the task's steps, and rl.steps: 400 is given too",
    ),
    "share of no steps": ({"methods.stage1.rl.share": 0}, "methods.stage1.rl.share: "),
    "name that cannot be a folder": ({"methods.My method": {"label": "M"}}, "methods.My method: "),
    "both sft and rl": ({"methods.star_d.rl": {}}, "methods.star_d.rl: "),
    "no base": ({"methods": {}}, "methods.base: missing"),
    "base that trains": ({"methods.base.rl": {}}, "methods.base.start: "),
    "start from nothing": ({"methods.stage1.start": None}, "methods.stage1.start: "),
    "start from nowhere": (
        {"methods.score.start": "stage_1"},
        "methods.score.start: there is no `stage_1`; did you mean `stage1`?",
    ),
    "start from itself": (
        {"methods.score.start": "score"},
        "methods.score.start: score starts from itself (score <- score)",
    ),
    "start from itself in a circle": (
        {"methods.stage1.start": "score"},
        "methods.stage1.start: stage1 starts from itself (stage1 <- score <- stage1)",
    ),
    "variant of nothing": (
        {"methods.score_gamma.variant_of": "scores"},
        "methods.score_gamma.variant_of: there is no `scores`; did you mean `score`?",
    ),
    "variant of itself": (
        {"methods.score.variant_of": "score"},
        "methods.score.variant_of: score is a variant of itself",
    ),
    "variant of itself in a circle": (
        {"methods.score.variant_of": "score_gamma"},
        "variant_of: score",
    ),
    "task, variant of unknown": (
        {"tasks.carry.variant_of": "cary"},
        "tasks.carry.variant_of: ",
    ),
    "task, variant of itself": (
        {"tasks.carry.variant_of": "carry"},
        "tasks.carry.variant_of: carry is a variant of itself",
    ),
    "sweep over an unknown method": (
        {"sweeps": {"a": {"label": "A", "methods": {"scor": 1}}}},
        "sweeps.a.methods: ",
    ),
    "sweep over methods and tasks": (
        {"sweeps": {"a": {"label": "A", "methods": {"score": 1}, "tasks": {"carry": 1}}}},
        "sweeps.a.methods: give `methods` or `tasks`, one of them",
    ),
    "sweep over tasks without lines": (
        {"sweeps": {"a": {"label": "A", "tasks": {"carry": 1}}}},
        "sweeps.a.lines: goes with `tasks`",
    ),
    "sweep over the last of different numbers of attempts": (
        {"sweeps": {"a": {"label": "A", "methods": {"score": 1, "stage1": 2}, "attempt": "last"}}},
        "sweeps.a.attempt: its methods have different numbers of attempts; add stage1 to tasks.",
    ),
    "sweep of numbers and words": (
        {"sweeps": {"a": {"label": "A", "methods": {"score": 1, "base": "no"}}}},
        "sweeps.a.methods: values are all numbers or all words",
    ),
    "a number as text": (
        {"run.seeds": ["201"]},
        "run.seeds.0: Input should be a valid integer (got '201'); in the braces of --config all",
    ),
    "no sweep to run": ({"run.methods": "sweeps"}, "run.methods: sweeps, but `sweeps` has none"),
    "variant of a list": ({"methods.score.variant_of": ["base"]}, "methods.score.variant_of: "),
}


@pytest.mark.parametrize(("changes", "line"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_config_is_refused_by_key(changes, line):
    with pytest.raises(ConfigError) as caught:
        Plan(config.load(changed(changes)))
    assert line in str(caught.value)
    assert "[key]" not in str(caught.value)  # pydantic's own words for a place


def test_of_a_list_without_a_right_item_only_the_items_are_told():
    with pytest.raises(ConfigError) as caught:
        config.load(changed({"run.seeds": ["0"]}))
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["run.seeds.0"]
    with pytest.raises(ConfigError, match=r"run\.seeds: Tuple should have at least 1 item"):
        config.load(changed({"run.seeds": [], "run.tasks": ["carry", 1]}))


def test_a_fault_is_told_once_per_key():
    with pytest.raises(ConfigError) as caught:
        config.load(changed({"run.methods": "al", f"{TASK}.rl.kl": "k2"}))
    keys = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert sorted(keys) == ["run.methods", f"{TASK}.rl.kl"]


def test_null_overrides_a_key_that_may_be_null_and_is_refused_elsewhere():
    of_task = {f"{TASK}.sft.traces_per_micro_batch": 4}
    loaded = config.load(changed({**of_task, "methods.star_d.sft.traces_per_micro_batch": None}))
    # As it is written down beside results, and read again.
    again = config.load(json.loads(loaded.model_dump_json()))
    assert again == loaded
    for plan in (Plan(loaded), Plan(again)):
        assert plan.finetune("carry", "star_d", 0).sft.traces_per_micro_batch is None
        assert plan.finetune("carry", "star_d_plus", 0).sft.traces_per_micro_batch == 4
    with pytest.raises(ConfigError, match=r"methods\.score\.rl on tasks\.carry\.rl: alpha: "):
        Plan(config.load(changed({"methods.score.rl.alpha": None})))
    with pytest.raises(ConfigError, match=r"methods\.score\.rl on tasks\.carry\.rl: steps: "):
        Plan(config.load(changed({"methods.score.rl.steps": None})))


def test_an_override_that_does_not_fit_the_task_is_refused_by_the_plan():
    loaded = config.load(changed({"methods.single_turn_rl.rl.offline_first_attempts": 0.5}))
    with pytest.raises(ConfigError, match=r"methods\.single_turn_rl\.rl .*offline_first_attempts"):
        Plan(loaded)


# --- every key has an effect ------------------------------------------------------------------

# These steer the workflow and are in no job's spec.
STEERING = {
    "results": "where the Snakefile puts every file",
    "compute.tensorboard": "whether training also writes curves for TensorBoard",
    "compute.sandbox_workers": "how many programs a grading job executes at a time",
    "compute.device": "where models are; what is done stays done on another machine",
    "compute.processes": "how many processes share an RL job",
    "compute.sharded": "whether they keep what is trained in parts",
    "compute.memory_mb": "what a job asks of a cluster, and may take",
    "compute.gpu_memory_gb": "what a job may take of a GPU",
    **{f"{task}.model.path": "which model folder the rules take as input instead of pretraining one"
       for task in (TASK, CODE)},
    **{f"{task}.evaluation.repairs.{key}": "whose attempts the rules take as input for repair"
       for task in (TASK, CODE) for key in ("file", "writer")},
    **{f"{task}.evaluation.repairs.at": "nothing where one benchmark is trained on and evaluated"
       for task in (TASK, CODE)},
    **{f"{task}.{section}.kind": "which task it is; another one has other keys"
       for task in (TASK, CODE) for section in ("data", "corpus")},
    "tasks.math.data.kind": "which task it is; another one has other keys",
}  # fmt: skip

# Changes that a key needs beside its own, or that are particular to it.
ROWS = [f"tasks.math.data.{part}_rows" for part in ("train", "test", "math500")]
SPECIAL: dict[str, Raw] = {
    **{f"{rows}.path": {rows: {"path": "some/file"}} for rows in ROWS},
    "results": {"results": "elsewhere"},
    "compute.sharded": {"compute.sharded": True, "compute.processes": 2},
    "run.tasks": {"run.tasks": ["carry"]},
    "run.methods": {"run.methods": ["score"]},
    **{f"{task}.evaluation.repairs.{key}": {f"{task}.evaluation.repairs.{key}": "some/where"}
       for task in (TASK, CODE) for key in ("file", "writer")},
    f"{TASK}.evaluation.repairs.problems": {
        f"{TASK}.evaluation.repairs": {**REPAIRS, "file": "some/where"},
    },
    **{f"{task}.test": {f"{task}.test": HUMANEVAL, f"{task}.evaluation.problems": 100,
                        f"{task}.evaluation.repairs.problems": 0}
       for task in (TASK, CODE)},
    "run.seeds": {"run.seeds": [0, 1]},
    "methods.single_turn_rl.rl.rewarded": {
        "methods.single_turn_rl.rl.rewarded": "revisions", "methods.single_turn_rl.rl.turns": 2,
    },
    f"{CODE}.data.pairs": {f"{CODE}.data.pairs": [0.5, 0.3, 0.2]},
    **{f"{task}.model.path": {f"{task}.model.path": "some/folder"} for task in (TASK, CODE)},
    **{f"{task}.rl.offline_first_attempts": {
        f"{task}.rl.offline_first_attempts": 0.5,
        "methods.single_turn_rl.rl.offline_first_attempts": 0.0,  # one turn has no use for them
    } for task in (TASK, CODE)},
    **{f"{task}.evaluation.split": {
        f"{task}.evaluation.split": "validation",
        f"{task}.evaluation.problems": 10,
    } for task in (TASK, CODE)},
}  # fmt: skip

# Other values of keys that are no numbers, by the last part of their path.
CHOICES: dict[str, list[Any]] = {
    "levels": [[6]],
    "operations": [[6, 8]],
    "first": [[0.6, 0.3, 0.1]],
    "prompts_per_micro_batch": [4],
    "traces_per_micro_batch": [64],
    "supervise": ["last", "all"],
    "rewarded": ["revisions", "all"],
    "kl": ["k3", "exact"],
    "baseline": ["batch_mean", "leave_one_out"],
    "keep": ["last", "best"],
    "revision": ["some-commit"],
    "dtype": ["bfloat16"],
    "engine": ["vllm"],
    "attention": ["eager"],
    "lora": [{"rank": 8, "alpha": 16.0, "modules": "all-linear"}],
    "reference": ["cpu"],
    "device": ["cuda"],
    "gpu_memory_gb": [80.0],
    "hub": ["some/where"],
    "subsets": [["another"]],
    "split": ["another"],
    "at": ["trained"],
    "many_turns_for": [[]],
    "methods": [["score"], ["pair_sft_d"], "sweeps"],
    "label": ["Another"],
    "start": ["base", "stage1", "star_d"],
    "variant_of": ["stage1"],
    "tables": [["main"], ["ablations"]],
    "instruction": ["correction", "refinement"],
    "traces": ["star", "pair"],
    "transitions": [["wrong_right"], ["right_right"]],
}


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The dotted paths of all values that are no sections."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def perturbed(path: str) -> spec.Config:
    """The default config with another valid value at ``path``."""
    for changes in _candidates(path, get(DEFAULT, path)):
        try:
            loaded = config.load(changed(changes))
            Plan(loaded)
        except ConfigError:
            continue
        return loaded
    raise AssertionError(f"{path}: no other valid value known; add one to SPECIAL or CHOICES")


def _candidates(path: str, value: Any) -> Iterator[Raw]:
    section, _, key = path.rpartition(".")
    if path in SPECIAL:
        yield SPECIAL[path]
    elif key in CHOICES:
        yield from ({path: other} for other in CHOICES[key] if other != value)
    elif isinstance(value, bool):
        yield {path: not value}
    elif section.startswith(
        (f"{TASK}.corpus.", f"{CODE}.corpus.")
    ):  # a mixture: what one share gains another loses
        other = next(name for name in get(DEFAULT, section) if name != key)
        yield {path: value - 0.01, f"{section}.{other}": get(DEFAULT, section)[other] + 0.01}
    elif isinstance(value, int | float):
        step = 1 if isinstance(value, int) else 0.01
        yield from ({path: other} for other in (value + step, value - step, value * 2))


def jobs(config: spec.Config) -> dict[tuple, Any]:
    """Every job of the plan: its spec, and the model that it starts from."""
    plan = Plan(config)
    out: dict[tuple, Any] = {("report",): plan.report()}
    for task, nodes in plan.nodes.items():
        for name, node in nodes.items():
            verbs = {
                "base": ["pretrain"] if config.tasks[task].corpus else [],
                "prompt": [],
                "sft": ["select", "finetune"],
                "rl": ["reinforce"],
            }[node.kind]
            views = VIEWS if name == node.method else ()
            for seed in config.run.seeds:
                for verb in [*verbs, "sample"]:
                    made = getattr(plan, verb)(task, name, seed)
                    out[verb, task, name, seed] = (node.kind, node.parent, made)
                for view in (view for view in views if plan.shows(task, name, view)):
                    tracked = view == "snapshots_"
                    out[view, task, name, seed] = (
                        plan.track(task, name, seed) if tracked
                        else plan.generate(task, name, seed, view),
                        plan.grade(task, name, seed, view),
                    )  # fmt: skip
    return out


def perturbed_paths() -> Iterator[str]:
    """All keys, of the real benchmarks one task's data: they share the other sections."""
    for path in leaves(DEFAULT):
        task = path.split(".")[1] if path.startswith("tasks.") else None
        if task is None or task in EMBEDDED or path.startswith("tasks.math.data."):
            yield path


@pytest.mark.parametrize("path", [path for path in perturbed_paths() if path not in STEERING])
def test_every_key_changes_a_job(path):
    assert jobs(perturbed(path)) != jobs(config.load(DEFAULT))


@pytest.mark.parametrize("path", [path for path in STEERING if not path.endswith(".kind")])
def test_a_steering_key_changes_no_job(path):
    assert jobs(perturbed(path)) == jobs(config.load(DEFAULT))


def test_the_keys_of_every_section_are_in_the_default_config():
    """So that walking the default config walks every key; overrides give only what they need."""
    embedded = {name: DEFAULT["tasks"][name] for name in EMBEDDED}
    described = {
        key.path.partition(".lora.")[0] + (".lora" if ".lora." in key.path else "")  # null there
        for key in reference.keys({**DEFAULT, "tasks": embedded})
        if not re.search(r"\[(math|gsm8k|mbpp|humaneval)\]|test\[", key.path)  # of real tasks
    }
    described -= {
        section
        for section in described
        if any(path.startswith((f"{section}.", f"{section}[")) for path in described)
    }
    shown = set()
    for path in leaves({**DEFAULT, "tasks": embedded}):
        top, *rest = path.split(".")
        if top == "tasks":
            kind, section, *keys = rest
            of = f"{section}[{kind}]" if section in ("data", "corpus") else section
            path = ".".join(["tasks.<task>", of, *keys])
        shown.add(path)
    described.remove("tasks.<task>.variant_of")  # the default's tasks are none
    named = ("methods.", "sweeps.<sweep>.", "tasks.<task>.star.")
    assert {path for path in described ^ shown if not path.startswith(named)} == set()


@pytest.mark.parametrize("kind", [spec.RL, spec.SFT])
def test_a_method_may_override_every_key_of_its_training(kind):
    overrides = {spec.RL: spec.RLOverrides, spec.SFT: spec.SFTOverrides}[kind]
    assert kind.model_fields.keys() <= overrides.model_fields.keys()
    value = get(DEFAULT, f"{TASK}.{kind.__name__.lower()}")
    own = {} if kind is spec.RL else {"traces": "star", "transitions": ["wrong_right"]}
    overridden = validation.parse(overrides, {**value, **own}).model_dump(mode="json")
    assert {key: overridden[key] for key in value} == json.loads(json.dumps(value))


@pytest.mark.parametrize(("key", "path"), [
    ("tasks.math.data.train_rows.path", "no/such.jsonl"),
    ("tasks.code.test.path", "no/such.jsonl"),
    ("tasks.carry.evaluation.repairs.file", "no/such.jsonl"),
    ("tasks.carry.model.path", "./no/such/model"),
])  # fmt: skip
def test_a_path_that_is_not_there_is_refused_before_anything_runs(key, path):
    task = key.split(".")[1]
    loaded = config.load(changed({key: path, "run.tasks": [task]}))
    with pytest.raises(ConfigError, match=f"{key}: no such (file|folder): {path}"):
        config.check_paths(loaded)


def test_repairs_are_at_problems_that_are_evaluated_or_trained_on():
    there = {f"{CODE}.test": HUMANEVAL, f"{CODE}.evaluation.problems": 100,
             f"{CODE}.evaluation.repairs.file": "a"}  # fmt: skip
    for at, kind in (("evaluated", "humaneval"), ("trained", "precedence")):
        plan = Plan(config.load(changed({**there, f"{CODE}.evaluation.repairs.at": at})))
        job, graded = plan.generate("precedence", "base", 0), plan.grade("precedence", "base", 0)
        assert job.data.kind == graded.data.kind == "humaneval"
        assert (job.repairs or job.data).kind == (graded.repairs or graded.data).kind == kind
        assert plan.screen("precedence").data.kind == kind


# --- variants of tasks and sweeps -------------------------------------------------------------


def test_a_task_may_be_a_variant_of_another():
    loaded = config.load(
        changed({"tasks.wide": {"variant_of": "carry", "model": {"tiny": {"hidden_size": 96}}}})
    )
    wide, carry = loaded.tasks["wide"], loaded.tasks["carry"]
    assert wide.model.tiny.hidden_size == 96
    same = {"variant_of": None, "model": carry.model}
    assert wide.model_copy(update=same) == carry


def test_sweeps_run_their_methods_and_what_these_start_from():
    made = Plan(config.load(changed({
        "run.methods": "sweeps",
        "sweeps": {"alpha": {"label": "α", "methods": {"score_without_shaping": 0, "score": 10}}},
    })))  # fmt: skip
    assert made.methods() == ["base", "score", "score_without_shaping"]
    assert set(made.nodes["carry"]) == {"base", "stage1", "score", "score_without_shaping"}


def test_who_was_trained_over_more_attempts_sees_as_many():
    changes = {"methods.score.rl.turns": 3, "tasks.carry.evaluation.window": 1}
    made = Plan(config.load(changed(changes)))
    assert made.generate("carry", "score", 0).window == 2
    assert made.generate("carry", "stage1", 0).window == 1


def test_what_most_waits_for_goes_first():
    plan = Plan(config.load(DEFAULT))
    lines = {node: plan.followers("carry", node) for node in plan.nodes["carry"]}
    # base, stage1, round1, round2 and score_star_stage2, one after the other
    assert lines["base"] == 4 and lines["stage1"] == 3
    assert lines["star_d.round1"] == 2 and lines["star_d.round2"] == 1
    assert lines["star_d"] == lines["score"] == lines["score_star_stage2"] == 0


def test_a_job_that_grades_asks_for_what_programs_may_take():
    made = Plan(config.load(changed({"compute.sandbox_workers": 8})))
    assert (
        made.sandbox_mb("precedence") == 8 * made.config.tasks["precedence"].data.sandbox.memory_mb
    )
    assert made.sandbox_mb("carry") == 0
