"""The overlays for real models plan a whole run, and their hours are counted from their tokens."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from running import ROOT, copy_of_the_project, snakemake
from selfcorrect import config
from selfcorrect.plan import Plan

REAL = ["math-qwen2.5-1.5b", "code-qwen2.5-coder-1.5b", "math-paper", "code-paper"]


def plan(name: str) -> Plan:
    overlay = yaml.safe_load((ROOT / f"config/experiments/{name}.yaml").read_text())
    return Plan(config.load(config.merged(config.default(ROOT), overlay)))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_of_the_project(tmp_path_factory.mktemp("overlays") / "project")


@pytest.mark.parametrize("name", REAL)
def test_a_dry_run_plans_every_method(project, name):
    done = snakemake(project, "--dry-run", "--configfile", f"config/experiments/{name}.yaml",
                     "--", f"results/{name}/tables", f"results/{name}/figures")  # fmt: skip
    said = done.stdout + done.stderr
    counted = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.M)}
    methods = plan(name).methods()
    assert "pretrain" not in counted, "the base comes from elsewhere"
    assert len(methods) == 15
    assert counted["generate"] == 15 + 2 + 5  # the evaluation, votes, training problems
    assert counted["track"] == 1
    assert counted["grade"] == counted["generate"] + counted["track"]
    assert counted["finetune"] == counted["select"] == 3 + 3 + 1 + 1 + 3
    assert counted["reinforce"] == 8
    assert counted["plot"] == counted["tabulate"] == 1


@pytest.mark.parametrize("name", REAL)
def test_jobs_that_use_a_model_ask_for_a_gpu_and_no_others(project, name):
    done = snakemake(project, "--dry-run", "--configfile", f"config/experiments/{name}.yaml",
                     "--", f"results/{name}/tables")  # fmt: skip
    asked: dict[str, set[bool]] = {}
    for block in re.split(r"\n(?=\[|Job stats)", done.stdout + done.stderr):
        if rule := re.search(r"^(?:local)?rule (\w+):", block, re.M):
            asked.setdefault(rule[1], set()).add("gpu=1" in block)
    assert {rule for rule, gpu in asked.items() if gpu == {True}} == {
        "plan_memory", "sample", "finetune", "reinforce", "generate"
    }  # fmt: skip
    assert {True, False} not in asked.values()


def test_the_papers_hyperparameters():
    """Table 5."""
    for name, learning_rate, steps, batch, beta2 in (
        ("math-paper", 5e-6, 3000, 512, 0.1),
        ("code-paper", 1e-5, 1500, 128, 0.25),
    ):
        made = plan(name)
        (task,) = made.config.run.tasks
        first = made.reinforce(task, "stage1", 0).rl
        second = made.reinforce(task, "score", 0).rl
        assert first.steps + second.steps == steps
        assert first.beta2 == beta2 and second.beta2 == 0
        assert second.alpha == 10
        for rl in (first, second):
            assert rl.learning_rate == learning_rate
            assert rl.prompts_per_batch * rl.samples_per_prompt == batch
            assert (rl.temperature, rl.beta1, rl.gamma) == (1.0, 0.01, 0.0)


def test_tokens_are_counted_job_by_job():
    spec = importlib.util.spec_from_file_location("gpu_hours", ROOT / "benchmarks/gpu_hours.py")
    gpu_hours = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        spec.loader.exec_module(gpu_hours)
    made = plan("code-paper")
    found = gpu_hours.tokens(made, "code", gpu_hours.Lengths(prompt=100, attempt=10))
    two_turns, one_turn = 100 + 10 + 60 + 10, 100 + 10
    stages = 4 * 750 * 128  # Stage I, and Stage II as it is, without shaping and with γ
    whole = 3 * 1500 * 128  # on the last reward, on both, without Stage I
    single = 1500 * 128
    assert found["reinforce"] == (
        (stages + whole) * 20 + single * 10,
        (stages + whole) * two_turns + single * one_turn,
    )
    traces = 374 * 16
    assert found["finetune"] == (0, 11 * 3 * traces * two_turns)
    # The base, Stage I, and two rounds of each of three methods in rounds.
    assert found["sample"] == ((1 + 1 + 2 * 3) * traces * 20, 0)
    # The base and four snapshots: two attempts, and a second one after the base's first.
    evaluated = 15 * (2 + 4 * 2) + 2 * 32 * 2 + 5 * 2 + 5 * 3
    assert found["generate"] == (164 * evaluated * 10, 0)
