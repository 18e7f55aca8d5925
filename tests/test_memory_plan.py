"""The memory plan of whole jobs: beside what one really takes, what it refuses, and in a run."""

import json
import os
import re
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoConfig, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from running import ROOT, copy_of_the_project, snakemake
from selfcorrect.config import load, merged
from selfcorrect.jobs import Decode, MemoryJob
from selfcorrect.lm import models
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.memory.conversations import (
    Conversations,
    Prompts,
    check_context,
    conversations,
)
from selfcorrect.lm.memory.remedies import Limits, limits_of, remedies
from selfcorrect.lm.memory.shape import shape_of
from selfcorrect.lm.memory.terms import GIB, MIB
from selfcorrect.lm.memory.verdict import check_fit, markdown, plan_of
from selfcorrect.plan import Plan
from selfcorrect.spec import LoRA
from selfcorrect.steps import plan_memory
from selfcorrect.validation import ConfigError
from tiny import CONFIG, plan, save_checkpoint

TASK = "tasks.carry"
QWEN = Qwen2Config(
    vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
    num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=32768,
    tie_word_embeddings=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder)
    return folder


def chat_of(checkpoint: Path) -> Chat:
    return Chat(AutoTokenizer.from_pretrained(checkpoint))


# --- the plan beside a job --------------------------------------------------------------------

MIDDLE = {"hidden_size": 640, "intermediate_size": 1792, "num_hidden_layers": 8,
          "num_attention_heads": 10, "num_key_value_heads": 2, "bos_token_id": None,
          "max_position_embeddings": 4096, "tie_word_embeddings": True}  # fmt: skip


@pytest.mark.slow
def test_an_rl_job_takes_what_is_planned(checkpoint, tmp_path):
    """36 million parameters in float32, of which the plan knows only the configuration."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    config = Qwen2Config(**MIDDLE, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id)
    model = tmp_path / "base"
    Qwen2ForCausalLM(config).save_pretrained(model)
    tokenizer.save_pretrained(model)
    rl = {"steps": 2, "checkpoint_every": 1, "prompts_per_batch": 4, "samples_per_prompt": 4}
    of_run = plan(
        {"run.methods": ["multi_turn_rl_sum"], f"{TASK}.generation.max_new_tokens": 64,
         **{f"{TASK}.rl.{key}": value for key, value in rl.items()}}
    )  # fmt: skip
    job = of_run.memory("carry")
    found = conversations(job, chat_of(checkpoint))
    rows = plan_of(job, partial(shape_of, config), found, on_gpu=False)
    (planned,) = [row.needs.main.total for row in rows if row.work == "RL"]
    arguments = {
        "spec": job.reinforce[0].model_dump_json(), "start": model, "reference": model,
        "model": tmp_path / "trained", "log": tmp_path / "training.jsonl",
    }  # fmt: skip
    command = [sys.executable, "-m", "selfcorrect.steps.reinforce"]
    command += [str(part) for key, value in arguments.items() for part in (f"--{key}", value)]
    running = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(running.pid, 0)
    assert status == 0
    peak = usage.ru_maxrss * 1024
    assert 0.9 * peak <= planned <= 1.6 * peak


def sampling_needs(job: MemoryJob, work: str) -> dict[str, int]:
    """Items of the GPU that jobs of a kind need, by the shape of Qwen2.5-1.5B."""
    prompts = Prompts([], [300], 40)
    rows = plan_of(job, cache(partial(shape_of, QWEN)), Conversations(prompts, prompts),
                   on_gpu=True)  # fmt: skip
    (needs,) = [row.needs.gpu for row in rows if row.work == work and "score" in row.methods]
    assert needs is not None
    return needs.items


def test_conversations_that_begin_with_given_attempts_are_read_whole():
    """Offline first attempts in RL, and attempts to be repaired."""
    plain, changes = math_job(), {}
    ten = Decode(decoding="greedy", problems=10, turns=2, samples=1, temperature=0)
    few = [job.model_copy(update={"passes": (ten,)}) for job in plain.generate]
    plain = plain.model_copy(update={"generate": tuple(few)})
    of_rl = [
        job.model_copy(update={"rl": job.rl.model_copy(update={"offline_first_attempts": 0.5})})
        for job in plain.reinforce
    ]
    changes["RL"] = plain.model_copy(update={"reinforce": tuple(of_rl)})
    repair = ten.model_copy(update={"decoding": "repair", "problems": 100})
    repairing = [job.model_copy(update={"passes": (ten, repair)}) for job in few]
    changes["evaluation"] = plain.model_copy(update={"generate": tuple(repairing)})
    for work, changed in changes.items():
        before, after = sampling_needs(plain, work), sampling_needs(changed, work)
        assert after["reading"] > 1.5 * before["reading"], work


# --- refusals ---------------------------------------------------------------------------------


def refusal(job: MemoryJob, limits: Limits, on_gpu: bool = True, prompt: int = 300) -> str:
    prompts = Prompts([], [prompt], 40)
    rows = plan_of(job, cache(partial(shape_of, QWEN)), Conversations(prompts, prompts),
                   on_gpu=on_gpu)  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        check_fit(rows, limits)
    return str(refused.value)


def math_job(**changes: Any) -> MemoryJob:
    raw = {**CONFIG, "run": {"tasks": ["math"], "methods": ["score"], "seeds": [0]}}
    job = Plan(load(raw)).memory("math")
    return job.model_copy(update=changes)


def test_what_does_not_fit_is_told_with_what_would():
    said = refusal(math_job(), Limits(24 * GIB, 64 * GIB))
    (line,) = said.splitlines()
    assert line.startswith("tasks.math.rl: RL (stage1, score) needs ")
    assert "optimiser 17.3" in line
    assert "tasks.math.model.lora: {rank: 16, alpha: 32.0, modules: all-linear} (GPU " in line
    assert "gradient_checkpointing" not in line  # is on already
    assert "prompts_per_micro_batch" not in line  # training is not what is too large


def test_main_memory_beside_a_gpu_can_only_be_given():
    said = refusal(math_job(), Limits(80 * GIB, 4000 * MIB))
    assert [line.split(":")[0] for line in said.splitlines()] == [
        "tasks.math.rl", *["tasks.math.generation"] * 3]  # fmt: skip
    assert all("What helps: compute.memory_mb: " in line for line in said.splitlines())


def test_where_nothing_is_enough_a_smaller_model_is():
    said = refusal(math_job(), Limits(2 * GIB, 64 * GIB))
    assert all("tasks.math.model.path: a smaller model" in line for line in said.splitlines())


@pytest.mark.parametrize(("on_gpu", "gib"), [(True, 40), (True, 20), (False, 40), (False, 8)])
def test_every_remedy_told_helps_and_the_first_most(on_gpu, gib):
    prompts = Prompts([], [300], 40)
    found = Conversations(prompts, prompts)
    limits = Limits(gib * GIB if on_gpu else None, gib * GIB)
    shape = cache(partial(shape_of, QWEN))
    for row in plan_of(math_job(), shape, found, on_gpu=on_gpu):
        left = [limits.excess(one.needs) for one in remedies(row.job, row.setting, limits)]
        assert all(excess < limits.excess(row.needs) for excess in left)
        assert left == sorted(left)


def told(gib: float, engine: str = "torch", **changes: Any) -> str:
    """What is said of RL on a GPU of so many GiB."""
    job = math_job(**changes)

    def engines(of: Any) -> Any:
        generation = of.generation.model_copy(update={"engine": engine, "cache_mb": 8192})
        return of.model_copy(update={"generation": generation})

    job = engines(job).model_copy(
        update={
            kind: tuple(map(engines, getattr(job, kind)))
            for kind in ("sample", "reinforce", "generate")
        }
    )
    said = refusal(job, Limits(int(gib * GIB), 512 * GIB))
    (line,) = [line for line in said.splitlines() if line.startswith("tasks.math.rl:")]
    return line


def test_no_change_is_told_that_a_plan_refuses():
    assert "model.lora" in told(20, processes=2)
    assert "model.lora" not in told(20, processes=2, sharded=True)
    assert "compute.processes" in told(40)
    assert "compute.processes" not in told(40, engine="vllm")
    together = told(5, processes=2).split("What helps: ")[1].split(" (GPU")[0]
    assert not {"model.lora", "compute.sharded"} <= {
        change.split(":")[0].removeprefix("tasks.math.") for change in together.split(" with ")
    }


def test_a_smaller_cache_is_told_where_vllm_samples():
    assert "tasks.math.generation.cache_mb: " in told(40, engine="vllm")
    assert "generation.batch_size" not in told(40, engine="vllm")
    assert "generation.batch_size" in told(40)
    assert "cache_mb" not in told(40)


def test_what_compiled_steps_keep_is_there_while_a_model_is_trained():
    """Their cache stays with the engine, so it is no more in turns with what training takes."""

    def said(engine: str) -> str:
        math = {
            "generation": {"engine": engine}, "model": {"gradient_checkpointing": False},
            "rl": {"prompts_per_micro_batch": 8},
        }  # fmt: skip
        run = {"tasks": ["math"], "methods": ["score"], "seeds": [0]}
        job = Plan(load(merged(CONFIG, {"run": run, "tasks": {"math": math}}))).memory("math")
        told = refusal(job, Limits(5 * GIB, 512 * GIB))
        (line,) = [line for line in told.splitlines() if line.startswith("tasks.math.rl:")]
        return line.split(" What helps")[0]

    def gib(pattern: str, text: str) -> float:
        return float(re.search(pattern + r" ([0-9.]+)", text)[1])

    compiled, usual = said("compiled"), said("torch")
    kept = gib("KV cache of compiled steps", compiled) + gib("CUDA graphs", compiled)
    assert kept > 5
    assert gib("needs", compiled) == pytest.approx(gib("needs", usual) + kept, abs=0.2)


def test_a_reference_on_the_cpu_is_told_where_nothing_else_is_enough():
    """One core computes it."""
    assert "model.reference" not in told(40)
    assert "model.reference" not in told(14, processes=8, sharded=True)
    assert "with tasks.math.model.reference: cpu" in told(12.3, processes=8, sharded=True)


def test_an_adapter_as_the_base_is_refused_before_anything_is_planned(checkpoint, tmp_path):
    lora = LoRA(rank=2, alpha=4.0, modules="all-linear")
    models.save(models.adapted(models.load(checkpoint), lora, 0), tmp_path / "adapter", {})
    arguments = {
        "spec": math_job().model_dump_json(), "model": tmp_path / "adapter",
        "plan": tmp_path / "plan.md", "numbers": tmp_path / "plan.json",
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"^tasks\.math\.model\.path: .*adapter.*Merge it"):
        plan_memory.main(
            [str(part) for key, value in arguments.items() for part in (f"--{key}", value)]
        )


def test_a_gpu_that_is_not_there_must_be_described(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"compute\.gpu_memory_gb: null"):
        limits_of(math_job(), "cuda")
    assert limits_of(math_job(gpu_memory_gb=80.0), "cuda").gpu == 80 * GIB
    assert limits_of(math_job(memory_mb=4000), "cpu") == Limits(None, 4000 * MIB)


@pytest.mark.parametrize(
    ("changes", "use", "keys"),
    [
        ({}, "RL of 2 attempts", ["rl.turns"]),
        (
            {f"{TASK}.rl.turns": 1, f"{TASK}.evaluation.many_turns": 9},
            "evaluation of 2",
            ["window"],
        ),
    ],
)
def test_a_prompt_longer_than_the_context_is_named(checkpoint, changes, use, keys):
    job = plan({"run.methods": ["multi_turn_rl_sum"], f"{TASK}.generation.max_new_tokens": 40,
                **changes}).memory("carry")  # fmt: skip
    chat, config = chat_of(checkpoint), AutoConfig.from_pretrained(checkpoint)
    found = conversations(job, chat)
    check_context(job, found, config)
    first, longest = found.training.problems[0], found.training.longest
    config.max_position_embeddings = longest + 2 * 40 + found.training.bridge - 2
    with pytest.raises(ConfigError) as refused:
        check_context(job, found, config)
    (line, *_) = [line for line in str(refused.value).splitlines() if use in line]
    assert line.startswith(f"{TASK}.generation.max_new_tokens: ")
    assert f"the model's context has {config.max_position_embeddings}" in line
    assert all(key in line for key in [*keys, f"{TASK}.model.path"])
    if use.startswith("RL") and found.training.tokens[0] == longest:
        assert first.id in line


# --- in a run ---------------------------------------------------------------------------------


def overlay(project: Path, checkpoint: Path, compute: dict, batch_size: int = 1000) -> list[str]:
    task = {
        "data": {"width": 2, "levels": [2], "train": 40, "validation": 5, "test": 5},
        "corpus": None,
        "model": {"path": str(checkpoint)},
        "sampling": {"problems": 12},
        "generation": {"batch_size": batch_size},
        "evaluation": {"problems": 5, "many_turns_for": []},
    }
    content = {"results": "results/given", "compute": compute, "tasks": {"carry": task},
               "run": {"tasks": ["carry"], "methods": ["self_refine"], "seeds": [0]}}  # fmt: skip
    path = project / "given.yaml"
    path.write_text(yaml.safe_dump(content))
    return ["--configfile", str(path), "--", "results/given/carry/base/seed0/attempts.parquet"]


@pytest.mark.slow
def test_a_run_that_cannot_fit_stops_before_anything_is_computed(checkpoint, tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    results = project / "results/given"
    refused = snakemake(project, *overlay(project, checkpoint, {"memory_mb": 400}), check=False)
    assert refused.returncode != 0
    log = (results / "logs/carry/plan_memory.log").read_text()
    for said in (log, refused.stderr):
        assert "tasks.carry.generation: evaluation (base, self_refine) needs" in said
        assert "compute.memory_mb: " in said
    assert not (results / "carry").exists()

    arguments = overlay(project, checkpoint, {"memory_mb": 1500})
    snakemake(project, *arguments)
    assert "| evaluation | base, self_refine |" in (results / "carry/memory.md").read_text()
    job = json.loads((results / "carry/memory.json").read_text())["jobs"][0]
    assert job["main"]["total"] < 1500 * MIB

    attempts = results / "carry/base/seed0/attempts.parquet"
    sampled = attempts.stat().st_mtime_ns
    again = snakemake(project, *overlay(project, checkpoint, {"memory_mb": 1600}, batch_size=10))
    assert "rule plan_memory" in again.stdout + again.stderr
    assert "rule generate" not in again.stdout + again.stderr  # another plan reruns nothing
    assert attempts.stat().st_mtime_ns == sampled


# --- the documentation ------------------------------------------------------------------------

PAGE = ROOT / "docs/memory.md"
LONGEST = {"math": 1024, "gsm8k": 384, "code": 512}  # tokens of a prompt, assumed
METHODS = ["pair_sft_d", "single_turn_rl", "score"]


def worked() -> str:
    """The plan of the real benchmarks' tasks with the shape of Qwen2.5-1.5B."""
    raw = {**CONFIG, "run": {"tasks": list(LONGEST), "methods": METHODS, "seeds": [0]}}
    loaded = load(raw)
    parts, mains = [], set()
    for task, prompt in LONGEST.items():
        prompts = Prompts([], [prompt], 64)
        job = Plan(loaded).memory(task)
        rows = plan_of(job, cache(partial(shape_of, QWEN)), Conversations(prompts, prompts),
                       on_gpu=True)  # fmt: skip
        gpu, main = markdown(rows).split("Main memory, GiB:")
        parts.append(f"### `{task}`, prompts of up to {prompt} tokens\n\n{gpu}")
        mains.add(main)
    (main,) = mains
    return "".join(parts) + f"### All three\n\nMain memory, GiB:{main}"


def test_the_worked_tables_are_what_is_computed():
    _, rest = PAGE.read_text().split("<!-- worked -->\n\n")
    assert rest.split("\n<!-- end -->")[0] == worked()


@pytest.mark.parametrize("page", ["real-models", "engines"])
def test_the_overlays_on_the_pages_fit_a_large_gpu(page):
    """As they stand there, with the shape of Qwen2.5-1.5B."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.S)
    made = Plan(load(merged(CONFIG, yaml.safe_load(block))))
    prompts = Prompts([], [LONGEST["math"]], 64)
    rows = plan_of(made.memory("math"), cache(partial(shape_of, QWEN)),
                   Conversations(prompts, prompts), on_gpu=True)  # fmt: skip
    check_fit(rows, Limits(80 * GIB, made.config.compute.memory_mb * MIB))
