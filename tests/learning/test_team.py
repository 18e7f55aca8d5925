"""Processes that share a batch, over gloo: what they log and learn is the single process's."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from running import ROOT
from selfcorrect.lm import team
from selfcorrect.validation import ConfigError

MEMBER = Path(__file__).with_name("member.py")
SETTINGS: dict[str, dict[str, Any]] = {
    "stage two": {"alpha": 10.0, "beta2": 0.1},
    "another baseline, offline attempts": {
        "baseline": "batch_mean", "offline_first_attempts": 0.5, "prompts_per_micro_batch": 1,
    },
    "several updates": {"updates_per_batch": 3, "prompts_per_micro_batch": 1},
    "adaptive": {"beta2": 0.1, "adaptive_beta2": {"rate": 0.5, "max_factor": 4.0}},
}  # fmt: skip


def train(folder: Path, processes: int, settings: dict[str, Any], **more: Any) -> Path:
    """Train in so many processes; returns where the result lies."""
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps({"rl": settings, **more}))
    paths = [str(ROOT / "workflow"), str(ROOT / "tests")]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [sys.executable, *(launcher if processes > 1 else []), str(MEMBER), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    (folder / "errors").write_text(done.stderr)
    assert (done.returncode == 0) is not ("stop" in more), done.stderr[-3000:]
    assert ("stopped as told" in done.stderr) is ("stop" in more), done.stderr[-3000:]
    return folder


def read(folder: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    lines = (folder / "training.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    for line in log:
        del line["tokens_per_second"]
    return log, torch.load(folder / "weights.pt")


@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_log_and_learn_what_one_does(tmp_path, name):
    (alone, one), (shared, two) = (
        read(train(tmp_path / str(processes), processes, SETTINGS[name])) for processes in (1, 2)
    )
    assert len(alone) == 4
    for line, other in zip(alone, shared, strict=True):
        assert line == pytest.approx(other, rel=1e-6, abs=1e-7)
    for key, value in one.items():
        torch.testing.assert_close(value, two[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", list(SETTINGS)[:3])
def test_a_policy_in_parts_learns_what_a_whole_one_does(tmp_path, name, recompute):
    more = {"dtype": "float32", "recompute": recompute}
    whole, parts = (
        read(train(tmp_path / f"{shards}", 1 + shards, SETTINGS[name], sharded=shards, **more))
        for shards in (False, True)
    )
    for line, other in zip(whole[0], parts[0], strict=True):
        assert line == pytest.approx(other, rel=1e-3, abs=1e-4)
    assert whole[1].keys() == parts[1].keys()
    for key, value in whole[1].items():
        torch.testing.assert_close(value, parts[1][key], rtol=0, atol=1e-3)


def test_parts_of_a_process_whose_attempts_have_one_token(tmp_path):
    """It reads nothing after a prompt, but the others do, and all gather each layer together."""
    more = {"dtype": "float32", "short": True}
    settings = {"turns": 1}
    whole, parts = (
        read(train(tmp_path / f"{shards}", 1 + shards, settings, sharded=shards, **more))
        for shards in (False, True)
    )
    for line, other in zip(whole[0], parts[0], strict=True):
        assert line == pytest.approx(other, rel=1e-3, abs=1e-4)
    for key, value in whole[1].items():
        torch.testing.assert_close(value, parts[1][key], rtol=0, atol=1e-3)


@pytest.mark.parametrize("shards", [False, True])
def test_a_job_goes_on_in_parts_and_as_a_whole_again(tmp_path, shards):
    """A checkpoint does not tell whether the weights lay in parts."""
    more = {"dtype": "bfloat16", "stop": 3}
    stopped = train(tmp_path, 2, SETTINGS["stage two"], sharded=shards, **more)
    begun = (stopped / "training.jsonl").read_text().splitlines()[:2]
    train(stopped, 2, SETTINGS["stage two"], sharded=not shards, dtype="bfloat16")
    assert (stopped / "training.jsonl").read_text().splitlines()[:2] == begun  # times among it
    log, found = read(stopped)
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert {value.dtype for value in found.values()} == {torch.bfloat16}


def test_parts_go_on_in_the_same_bits(tmp_path):
    more = {"dtype": "bfloat16", "sharded": True}
    log, expected = read(train(tmp_path / "whole", 2, SETTINGS["stage two"], **more))
    stopped = train(tmp_path / "stopped", 2, SETTINGS["stage two"], stop=3, **more)
    assert (stopped / "checkpoint.pt").is_file()
    again, found = read(train(stopped, 2, SETTINGS["stage two"], **more))
    assert again == log
    assert {value.dtype for value in found.values()} == {torch.bfloat16}
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_a_team_that_was_killed_goes_on(tmp_path):
    """With another number of processes, too: a checkpoint is nobody's own."""
    _, expected = read(train(tmp_path / "whole", 1, SETTINGS["stage two"]))
    stopped = train(tmp_path / "stopped", 2, SETTINGS["stage two"], stop=3)
    assert (stopped / "checkpoint.pt").is_file()
    log, found = read(train(stopped, 2, SETTINGS["stage two"]))
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    for key, value in expected.items():
        torch.testing.assert_close(value, found[key], rtol=0, atol=1e-6)


def test_a_process_waits_for_the_one_that_writes(monkeypatch):
    """A large checkpoint on a slow disk takes longer than the minutes that are usual."""
    told: dict[str, Any] = {}

    def joined(**how: Any) -> SimpleNamespace:
        told.update(how)
        return SimpleNamespace(process_index=1, device="cpu")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.PartialState", joined)
    assert team.Team().rank == 1
    assert told["timeout"] >= timedelta(hours=12)


def test_a_batch_that_cannot_be_shared_is_refused_by_its_key():
    made = team.Team()
    made.size = 3
    with pytest.raises(ConfigError, match=r"^rl.prompts_per_batch: 4 cannot be shared equally"):
        made.share(4, "rl.prompts_per_batch")
    assert [*made.share(6, "key")] == [0, 1]
