"""Real problems and real architectures through the whole workflow, by config alone.

A toy Qwen2 checkpoint on 32 problems of MATH (the files' own), all weights and then an adapter;
and one on 16 problems of MBPP and HumanEval each, killed on the way.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import toy_checkpoints
from running import copy_of_the_project, snakemake
from selfcorrect.tracefile import read_table
from shared_data import data

pytestmark = pytest.mark.slow

METHODS = ["self_refine", "star_d_plus", "pair_sft_d_plus", "stage1", "score"]
SMALL = {
    "rl": {"steps": 4, "prompts_per_batch": 4, "samples_per_prompt": 4, "learning_rate": 1e-3,
           "prompts_per_micro_batch": 2, "checkpoint_every": 1, "beta2": 0.1},
    "sft": {"epochs": 1, "batch_size": 8, "traces_per_micro_batch": 4, "learning_rate": 1e-3},
    "model": {"dtype": "float32"},
}  # fmt: skip


def math_task(checkpoint: Path) -> dict[str, Any]:
    rows = {
        "train_rows": {"path": str(data("math/train.jsonl"))},
        "test_rows": {"path": str(data("math/test.jsonl"))},
        "math500_rows": {"path": str(data("math/math500_test.jsonl"))},
    }
    return {
        **SMALL,
        "data": rows,
        "model": {"path": str(checkpoint), "dtype": "float32"},
        "generation": {"max_new_tokens": 32, "batch_size": 32},
        "sampling": {"problems": 32, "samples_per_problem": 8},
        "evaluation": {
            "problems": 32,
            "samples": 2,
            "voting": {"problems": 8, "samples": 4},
            "familiar": {"methods": ["score"], "problems": 8},
            "snapshots": {"methods": ["pair_sft_d_plus"], "count": 1, "problems": 8},
        },
    }


def code_task(checkpoint: Path) -> dict[str, Any]:
    return {
        **SMALL,
        "data": {"rows": {"path": str(data("mbpp/mbpp.jsonl"))}},
        "model": {"path": str(checkpoint), "dtype": "float32"},
        "generation": {"max_new_tokens": 24, "batch_size": 32},
        "sampling": {"problems": 16, "samples_per_problem": 4},
        "evaluation": {"problems": 16, "samples": 2},
    }


def overlay(
    folder: Path, task: str, settings: dict[str, Any], methods: list[str], results: str = "real"
) -> list[str]:
    """Arguments for a run of one task with its tables as the target (the last one)."""
    raw = {
        "results": f"results/{results}",
        "run": {"tasks": [task], "methods": methods},
        "tasks": {task: settings},
        "methods": {"star_d_plus": {"sft": {"rounds": 2}}},
    }
    path = folder / f"{results}-{task}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return ["--configfile", str(path), "--", f"results/{results}/tables"]


def log(project: Path, task: str, method: str) -> list[dict[str, Any]]:
    path = project / f"results/real/{task}/{method}/seed0/training.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def grades(project: Path, task: str, method: str) -> list[dict[str, Any]]:
    path = project / f"results/real/{task}/{method}/seed0/grades.parquet"
    rows: list[dict[str, Any]] = read_table(path).to_pylist()
    return rows


def provenance(project: Path, task: str, method: str) -> dict[str, Any]:
    path = project / f"results/real/{task}/{method}/seed0/model/provenance.json"
    record: dict[str, Any] = json.loads(path.read_text())
    return record


@pytest.fixture(scope="module")
def mathematics(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("math")
    settings = math_task(folder / "checkpoint")
    project = copy_of_the_project(folder / "project")
    toy_checkpoints.save(folder / "checkpoint", toy_checkpoints.solution)
    snakemake(project, *overlay(folder, "math", settings, METHODS), "results/real/figures")
    return project


def test_math_goes_through_the_whole_workflow(mathematics):
    for method in ["base", *METHODS]:
        rows = grades(mathematics, "math", method)
        greedy = [row for row in rows if row["decoding"] == "greedy"]
        assert len({row["problem"] for row in greedy}) == 32
        assert {row["turn"] for row in greedy} == {1, 2}
        assert len([row for row in rows if row["decoding"] == "sampled"]) == 32 * 2 * 2
        verdicts = {row["verdict"] for row in rows}
        assert "wrong" in verdicts
        assert verdicts <= {"right", "wrong", "unparsed", "truncated", "timeout"}
    tables = mathematics / "results/real/tables"
    shown = (tables / "main.md").read_text()
    assert "Pair-SFT, D+" in shown
    with (tables / "main.csv").open() as file:
        counted = {(row["method"], row["decoding"]): int(row["truncated_attempts"])
                   for row in csv.DictReader(file)}  # fmt: skip
    for (method, decoding), count in counted.items():
        cut = [row for row in grades(mathematics, "math", method)
               if row["decoding"] == decoding and row["verdict"] == "truncated"]  # fmt: skip
        assert count == len(cut)
    assert sum(counted.values()) > 0


def test_its_figures_are_drawn_from_all_views(mathematics):
    drawn = {
        path.name: path.read_text() for path in (mathematics / "results/real/figures").glob("*.txt")
    }
    assert {"voting.txt", "fine_tuning.txt", "edits_math.txt"} <= drawn.keys()
    assert "issing" not in drawn["voting.txt"] + drawn["fine_tuning.txt"] + drawn["edits_math.txt"]
    place = mathematics / "results/real/math"
    kept = read_table(place / "pair_sft_d_plus/seed0/snapshots_grades.parquet").to_pylist()
    assert {row["decoding"].split("-")[0] for row in kept} == {"own", "fixed"}


def test_some_guesses_are_right_and_learned_from(mathematics):
    """Else every reward is zero, and nothing was shown."""
    rows = (row for method in METHODS for row in grades(mathematics, "math", method))
    assert any(row["verdict"] == "right" for row in rows)
    assert any(line["reward_t1"] > 0 for line in log(mathematics, "math", "stage1"))
    assert provenance(mathematics, "math", "star_d_plus")["traces"] > 0
    lines = log(mathematics, "math", "score")
    assert len(lines) == 2  # half of the task's steps, like Stage I
    assert any(line["policy_loss"] != 0 for line in log(mathematics, "math", "stage1") + lines)


def test_the_same_through_an_adapter(mathematics, tmp_path):
    lora = {"rank": 4, "alpha": 8.0, "modules": "all-linear"}
    checkpoint = mathematics.parent / "checkpoint"
    settings = math_task(checkpoint)
    settings["model"] |= {"lora": lora, "gradient_checkpointing": True, "dtype": "bfloat16"}
    methods = ["pair_sft_d_plus", "stage1", "score"]
    snakemake(mathematics, *overlay(tmp_path, "math", settings, methods, "adapter"))
    for method in methods:
        folder = mathematics / f"results/adapter/math/{method}/seed0/model"
        assert not (folder / "model.safetensors").exists()
        adapter = json.loads((folder / "adapter_config.json").read_text())
        assert adapter["base_model_name_or_path"] == str(checkpoint)
    lines = (mathematics / "results/adapter/math/score/seed0/training.jsonl").read_text()
    assert all(json.loads(line)["kl_t1"] >= 0 for line in lines.splitlines())


def test_programs_survive_a_kill(tmp_path):
    """Snakemake and its jobs are killed in the middle of Stage I, and the same command goes on."""
    settings = code_task(tmp_path / "checkpoint")
    project = copy_of_the_project(tmp_path / "project")
    toy_checkpoints.save(tmp_path / "checkpoint", toy_checkpoints.program)
    settings["rl"] = {**SMALL["rl"], "steps": 40}
    arguments = overlay(tmp_path, "code", settings, ["pair_sft_d_plus", "stage1", "score"])
    environment = {**os.environ, "PYTHONPATH": str(project / "workflow"), "HF_HUB_OFFLINE": "1"}
    work = project / "results/real/code/stage1/seed0/work/training.jsonl"
    running = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments[:-2], "--",
         "results/real/code/stage1/seed0/training.jsonl"],
        cwd=project, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 300
    while not (work.is_file() and work.read_text().count("\n") >= 3):
        assert running.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    done = [json.loads(line) for line in work.read_text().splitlines()][:2]
    assert not (project / "results/real/code/stage1/seed0/training.jsonl").exists()
    snakemake(project, *arguments)
    lines = log(project, "code", "stage1")
    assert [line["step"] for line in lines] == list(range(1, 21))
    # Times are measured, so a step that was done again would have another one.
    assert lines[:2] == done
    rows = grades(project, "code", "score")
    assert len({row["problem"] for row in rows if row["decoding"] == "greedy"}) == 16
    assert all(row["grader"].startswith("programs/") for row in rows)
