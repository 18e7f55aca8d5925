"""The workflow on a real SLURM: resources, GPUs, failures, cancelled runs.

    make test-slurm

Nothing here is mocked but the GPU. The tests share one cluster and, where they can, one base model.
"""

import json
import shutil
from pathlib import Path

import cluster
import pytest
import yaml
from runs import RESULTS, Run, kill_step, logged

from running import copy_of_the_project, snakemake

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("slurm")]

METHODS = ["pair_sft_d_plus", "stage1"]
MODEL_RULES = ("sample", "finetune", "reinforce", "generate")


@pytest.fixture(scope="module")
def finished(slurm, tmp_path_factory) -> tuple[Path, list[cluster.Job]]:
    """A run of two methods up to its tables, and SLURM's records of its jobs."""
    before = len(cluster.jobs())
    project = copy_of_the_project(tmp_path_factory.mktemp("run") / "project with a space")
    Run(project, {"run": {"methods": METHODS}}, "tables").finish()
    return project, cluster.jobs()[before:]


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """The finished run without what was made of the base model."""
    copy = tmp_path / "project"
    shutil.copytree(finished[0], copy, symlinks=True)
    for method in METHODS:
        shutil.rmtree(copy / RESULTS / "carry" / method)
    return copy


def test_a_run_comes_to_its_tables(finished):
    project, jobs = finished
    assert (project / RESULTS / "tables/main.csv").stat().st_size > 100
    assert {job.state for job in jobs} == {"COMPLETED"}
    evaluated = 1 + len(METHODS)
    rules = [job.rule for job in jobs]
    assert rules.count("generate") == rules.count("grade") == evaluated
    assert {"pretrain", "sample", "select", "finetune", "reinforce", "tabulate"} <= set(rules)
    assert "publish_tables" not in rules  # a copy of finished files, made where Snakemake runs


def test_every_job_has_what_its_rule_and_the_profile_ask_for(finished):
    project, jobs = finished
    profile = yaml.safe_load((project / "profiles/slurm/config.yaml").read_text())
    for job in jobs:
        limits = {**profile["default-resources"], **profile["set-resources"].get(job.rule, {})}
        assert job.minutes == limits["runtime"], job
        assert job.cpus == 1, job
        assert job.memory_mb == (1000 if job.rule in ("grade", "select") else 1500), job
        assert job.gpus == 0, job  # compute.device is cpu


def test_with_cuda_only_jobs_that_use_a_model_ask_for_gpus(project):
    overlay = {
        "run": {"tasks": ["carry"], "methods": METHODS},
        "compute": {"device": "cuda", "processes": 2},
    }
    (project / "cuda.yaml").write_text(yaml.safe_dump(overlay))
    said = snakemake(project, "--dry-run", "--forceall", "--workflow-profile", "profiles/slurm",
                     "--configfile", "config/experiments/quick.yaml", "cuda.yaml",
                     "--", f"{RESULTS}/tables").stdout  # fmt: skip
    asked = {}
    for block in said.split("\nrule ")[1:]:
        rule, resources = block.split(":")[0], block.split("resources: ")[1].split("\n")[0]
        asked[rule] = dict(one.split("=") for one in resources.split(", ")).get("gpu", "0")
    assert {rule for rule, gpus in asked.items() if gpus != "0"} == set(MODEL_RULES)
    assert asked["reinforce"] == "2"
    assert {asked[rule] for rule in MODEL_RULES if rule != "reinforce"} == {"1"}


def test_jobs_with_a_gpu_take_turns_and_the_others_do_not_wait(tmp_path):
    """The requests of compute.device: cuda, by way of the profile: the GPU is none."""
    project = copy_of_the_project(tmp_path / "project")
    profile = yaml.safe_load((project / "profiles/slurm/config.yaml").read_text())
    for rule in MODEL_RULES:
        profile["set-resources"].setdefault(rule, {})["gpu"] = 1
    (project / "profiles/gpu").mkdir()
    (project / "profiles/gpu/config.yaml").write_text(yaml.safe_dump(profile))
    holder = cluster.said("sbatch", "--parsable", "--gpus=1", "--mem=10", "--time=30",
                          "--output=/dev/null", "--wrap=sleep 1800").strip()  # fmt: skip
    before = len(cluster.jobs())
    grades = [f"carry/{method}/seed0/grades.parquet" for method in ("base", "self_refine")]
    run = Run(project, {}, *grades, profile="gpu")

    def generation_waits() -> bool:
        jobs = cluster.jobs()[before:]
        return [job.state for job in jobs if job.rule == "generate"] == ["PENDING"] * 2

    run.wait_for(generation_waits, "the base model, without the GPU")
    cluster.said("scancel", holder)  # of the only GPU
    run.finish()

    jobs = cluster.jobs()[before:]
    assert {job.rule: job.gpus for job in jobs} == {"pretrain": 0, "generate": 1, "grade": 0}
    turns = sorted((job.start, job.end) for job in jobs if job.rule == "generate")
    assert turns[0][1] <= turns[1][0]


def test_a_killed_job_is_tried_again_and_a_hopeless_one_is_reported(project):
    """Training goes on from its checkpoint; the other methods do not mind."""
    steps = 60
    hopeless = project / RESULTS / "carry/pair_sft_d_plus/seed0/work"
    hopeless.parent.mkdir(parents=True)
    hopeless.write_text("a file where the step needs a folder")
    before = len(cluster.jobs())
    method = {"stage1": {"rl": {"steps": steps, "share": 1.0}}}
    run = Run(project, {"run": {"methods": METHODS}, "methods": method}, "tables")
    run.wait_for(lambda: len(logged(project, "stage1")) >= 10, "10 steps")
    first = logged(project, "stage1")[:8]  # a checkpoint every 4 steps
    kill_step(project, "reinforce")
    said = run.finish(status=1)

    states = [job.state for job in cluster.jobs()[before:] if job.rule == "reinforce"]
    assert states == ["FAILED", "COMPLETED"]
    assert_went_on(project, "stage1", first, steps)
    assert (project / RESULTS / "carry/stage1/seed0/grades.parquet").is_file()

    tries = [job.state for job in cluster.jobs()[before:] if job.rule == "finetune"]
    assert tries == ["FAILED"] * 3
    assert "Error in rule finetune" in said
    assert f"{RESULTS}/logs/carry/pair_sft_d_plus/seed0/finetune.log" in said
    assert f"error: {RESULTS}/carry/pair_sft_d_plus/seed0/work: part of this path is a file" in said


def test_a_cancelled_run_goes_on(project):
    """Snakemake killed, its jobs cancelled in the midst of training; then the same command."""
    steps = 60
    method = {"stage1": {"rl": {"steps": steps, "share": 1.0}}}
    overlay = {"run": {"methods": ["stage1"]}, "methods": method}
    run = Run(project, overlay, "tables")
    run.wait_for(lambda: len(logged(project, "stage1")) >= 10, "10 steps")
    run.kill()
    cluster.cancel_all()
    first = logged(project, "stage1")[:8]
    before = len(cluster.jobs())
    assert cluster.jobs()[-1].state == "CANCELLED"
    assert not (project / RESULTS / "carry/stage1/seed0/model").exists()

    Run(project, overlay, "tables").finish()
    rules = [job.rule for job in cluster.jobs()[before:]]
    assert rules.count("reinforce") == 1
    assert not {"pretrain", "sample"} & set(rules)
    assert_went_on(project, "stage1", first, steps)


def assert_went_on(project: Path, node: str, first: list[str], steps: int) -> None:
    """Whether a finished training did not repeat its ``first`` steps.

    Their lines are the same to the last digit of their speed, which another run would not have.
    """
    log = project / RESULTS / f"carry/{node}/seed0/training.jsonl"
    lines = log.read_text().splitlines()
    assert lines[: len(first)] == first
    assert [json.loads(line)["step"] for line in lines] == list(range(1, steps + 1))
    assert not log.with_name("work").exists()
