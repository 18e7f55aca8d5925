"""The benchmarks run at their smallest size, and both sides do the same work. Never a time."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

SMALL = ["--prompts", "2", "--samples", "2", "--rounds", "2", "--warmup", "1"]

Table = list[dict[str, str]]


def run(repository: Path, script: str, *arguments: str) -> str:
    command = [sys.executable, f"benchmarks/{script}", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(printed: str) -> list[Table]:
    """The Markdown tables of an output: each a list of rows by column."""
    found = []
    for block in printed.split("\n\n"):
        if block.startswith("|"):
            header, _, *rows = [
                [cell.strip() for cell in line.strip("|").split("|")]
                for line in block.strip().splitlines()
            ]
            found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def test_both_rl_steps_read_and_sample_the_same_tokens(repository):
    (table,) = tables(run(repository, "rl_step.py", "config", "larger", *SMALL))
    assert [row["model"].split(",")[0] for row in table] == ["config", "larger"]
    for row in table:
        assert row["sequences"] == "4" and row["rounds"] == "2"
        assert row["ours: tokens / sampled"] == row["TRL: tokens / sampled"]
        read, sampled = map(int, row["ours: tokens / sampled"].split(" / "))
        assert sampled == 4 * 2 * 8  # sequences, turns, tokens an attempt
        assert read > sampled
        assert_ratio(row["TRL ÷ ours"])


def test_both_samplers_write_as_many_attempts_of_as_many_tokens(repository):
    printed = run(
        repository, "sampling.py", "--prompts", "48", "--limit", "12", "--rounds", "4",
        "--warmup", "0",
    )  # fmt: skip
    ((ours, peer),) = tables(printed)
    assert [ours["side"], peer["side"]] == ["rollout", "generate"]
    assert ours["attempts"] == peer["attempts"] == str(4 * 48 * 2)
    # Two samples of 384 lengths from one distribution (deviation under 4 of 12 tokens).
    lengths = [int(side["tokens"]) / int(side["attempts"]) for side in (ours, peer)]
    assert lengths[0] == pytest.approx(lengths[1], abs=5 * 4 * (2 / 384) ** 0.5)
    assert_ratio(printed.partition("rollout ÷ generate: ")[2].partition(",")[0])


def test_a_report_is_made_of_finished_evaluations(repository, tmp_path):
    overlay = tmp_path / "small.yaml"
    sizes = {"problems": 40, "samples": 2, "voting": {"problems": 20, "samples": 4}}
    overlay.write_text(json.dumps({
        "run": {"tasks": ["carry"], "methods": ["score"], "seeds": [0]},
        "tasks": {"carry": {"rl": {"steps": 4}, "evaluation": sizes}},
    }))  # fmt: skip
    printed = run(repository, "report.py", "--overlay", str(overlay))
    assert "2 logs" in printed  # Stage I and II
    (table,) = tables(printed)
    assert [row["step"] for row in table] == ["tabulate", "plot", "manifest", "present", "all"]


def test_the_parts_of_a_step_add_up(repository):
    (table,) = tables(run(repository, "where_time_goes.py", "step", *SMALL))
    *parts, whole = table
    assert {"backward", "reference", "grading", "logging"} <= {row["part"] for row in parts}
    total = sum(float(row["ms"]) for row in parts)
    assert total == pytest.approx(float(whole["ms"]), abs=0.05 * len(table))


def test_the_jobs_of_a_run_are_added_up_by_rule(repository, tmp_path):
    header = "s h:m:s max_rss max_vms max_uss max_pss io_in io_out mean_load cpu_time"
    records = {
        "carry/score/seed0/reinforce": "60.0 0:01:00 700.4 1 1 1 0 0 99.0 59.0",
        "carry/stage1/seed0/reinforce": "40.0 0:00:40 650.0 1 1 1 0 0 99.0 41.0",
        "carry/score/seed0/grade": "0.3 0:00:00 NA NA NA NA NA NA NA NA",
    }
    for job, record in records.items():
        file = tmp_path / "logs" / f"{job}.benchmark.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join("\t".join(line.split()) for line in (header, record)) + "\n")
    rules, slowest = tables(run(repository, "where_time_goes.py", "run", str(tmp_path)))
    assert rules[0] == {
        "rule": "reinforce", "jobs": "2", "job seconds": "100", "core seconds": "100",
        "share": "99.7%", "slowest job, s": "60", "peak MB": "700",
    }  # fmt: skip
    assert [row["rule"] for row in rules] == ["reinforce", "grade", "all"]
    assert rules[1]["peak MB"] == ""
    assert slowest[0]["slowest jobs"] == "reinforce carry/score/seed0"


def test_a_folder_without_a_run_is_named(repository, tmp_path):
    command = [sys.executable, "benchmarks/where_time_goes.py", "run", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 1 and str(tmp_path) in done.stderr


def test_the_floor_counts_the_products_of_an_update(repository):
    machine, floors = tables(run(repository, "floor.py", *SMALL))
    assert all(float(row["rate"].split()[0]) > 0 for row in machine)
    counted = {row["one RL step"]: row["update"] for row in floors}
    assert int(counted["operations called"]) > 100

    tiny = yaml.safe_load((repository / "config/config.yaml").read_text())
    tiny = tiny["tasks"]["carry"]["model"]["tiny"]
    width, wide = tiny["hidden_size"], tiny["intermediate_size"]
    weights = tiny["layers"] * (4 * width**2 + 3 * width * wide)
    tokens = 2 * 19 + 4 * (8 + 7 + 7)  # two prompts; four times attempt, instruction, attempt
    # Two a weight and token; the reference once, the policy once and twice more to go back.
    products = 2e-9 * weights * tokens * 4
    assert products < float(counted["GFLOP in products"]) < 1.25 * products  # attention, logits


def assert_ratio(text: str) -> None:
    middle, low, high = map(float, text.replace("(", "").replace(")", "").replace("to", "").split())
    assert 0 < low <= middle <= high


DEVICE = ["--device", "cpu", "--shape", "tiny", "--rows", "8", "--tokens", "6", "--prompt", "9"]


@pytest.fixture(scope="module")
def rates(repository, tmp_path_factory):
    """What the device's benchmark printed, and the file that it wrote."""
    path = tmp_path_factory.mktemp("device") / "rates.json"
    return run(repository, "device.py", *DEVICE, "--json", str(path)), path


def test_the_device_is_checked_and_measured(rates):
    found, figures = tables(rates[0])
    assert [row[""] for row in found] == ["ok"] * 5
    kept = json.loads(rates[1].read_text())
    assert kept["sampled tokens/s"] > 0 and kept["trained tokens/s"] > 0
    assert 2 < kept["tokens an attempt, mean"] < 12
    if shutil.which("g++"):
        assert kept["sampled tokens/s, compiled"] > 0 and kept["compiling, s"] > 0
    assert {row["figure"] for row in figures} <= kept.keys()


def test_a_device_that_computes_something_else_is_found_out(repository, monkeypatch):
    """Another model stands for a device that computes the same one wrongly."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    device = importlib.import_module("device")
    here, wrong = (device.model("tiny", torch.float32, "cpu", seed) for seed in (0, 0))
    assert all(check.holds for check in device.same_words(here, wrong))
    with torch.no_grad():
        wrong.model.layers[1].self_attn.v_proj.weight *= 1.5
    assert not any(check.holds for check in device.same_words(here, wrong))


def test_recomputing_wrongly_is_found_out(repository, monkeypatch):
    monkeypatch.syspath_prepend(repository / "benchmarks")
    device = importlib.import_module("device")
    right = device.gradients

    def wrong(policy, reference, sampled, recompute):
        statistics, batch = right(policy, reference, sampled, recompute)
        if recompute:
            policy.lm_head.weight.grad *= 1.5
        return statistics, batch

    monkeypatch.setattr(device, "gradients", wrong)
    gap, back = device.same_numbers("cpu", torch.float32)
    assert gap.holds and not back.holds


def test_hours_are_counted_from_measured_rates(repository, rates):
    printed = run(repository, "gpu_hours.py", "math-qwen2.5-1.5b", "--rates", str(rates[1]))
    kept = json.loads(rates[1].read_text())
    assert f"at {kept['sampled tokens/s']:,.0f} tokens sampled" in printed
    assert "measured on cpu with 0.00011 B parameters" in printed
    if faster := kept.get("sampled tokens/s, compiled"):
        told = run(repository, "gpu_hours.py", "math-qwen2.5-1.5b", "--rates", str(rates[1]),
                   "--engine", "compiled")  # fmt: skip
        assert f"at {faster:,.0f} tokens sampled" in told
    (row,) = tables(printed)[0]
    millions = [float(row[name].replace(",", "")) for name in ("M tokens sampled", "M trained on")]
    rate = [kept["sampled tokens/s"], kept["trained tokens/s"]]
    hours = sum(count * 1e6 / speed for count, speed in zip(millions, rate, strict=True)) / 3600
    assert float(row["all"].replace(",", "")) == pytest.approx(hours, rel=0.01)
