"""Jobs killed with ``kill -9`` at many moments, damaged files, two processes at one job.

Every job is a real one, at the smallest size. A job that was killed and run again must end in the
same bits as one that was not.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import steps
from selfcorrect import files, provenance
from selfcorrect.jobs import MEMORY
from selfcorrect.tracefile import read_table
from selfcorrect.validation import Strict
from tiny import plan

KILLED = -signal.SIGKILL
PLAN = plan(
    {
        "methods.stage1.rl": {"steps": 8, "rewarded": "revisions", "beta2": 0.1},
        "tasks.carry.rl.checkpoint_every": 3,
        "tasks.carry.rl.updates_per_batch": 2,
        "tasks.carry.rl.offline_first_attempts": 0.25,
        "tasks.carry.rl.adaptive_beta2": {"rate": 0.2, "max_factor": 5.0},
        "methods.single_turn_rl.rl.offline_first_attempts": 0.0,
        "tasks.carry.evaluation.samples": 1,
        "tasks.carry.generation.batch_size": 4,
    }
)


class Job:
    """A step with its spec and files; its outputs go to a folder of their own."""

    def __init__(
        self, name: str, spec: Strict, inputs: dict[str, Path], outputs: dict[str, str]
    ) -> None:
        self.name, self.spec, self.inputs, self.outputs = name, spec, inputs, outputs

    def paths(self, folder: Path) -> dict[str, Path]:
        return {**self.inputs, **{key: folder / name for key, name in self.outputs.items()}}

    def start(self, folder: Path, **how: Any) -> steps.Step:
        folder.mkdir(exist_ok=True)
        errors = folder / "errors.txt"
        return steps.start(self.name, self.spec, errors, **how, **self.paths(folder))

    def finish(self, folder: Path) -> Path:
        ended = self.start(folder).wait()
        assert ended.status == 0, ended.errors
        return folder

    def results(self, folder: Path) -> dict[str, Any]:
        """Everything written, less the times."""
        found: dict[str, Any] = {}
        for name in self.outputs.values():
            path = folder / name
            if path.is_dir():
                found[name] = files.checksums(path)
                found[name].pop(provenance.SIDECAR, None)
            elif path.suffix == ".jsonl":
                lines = [json.loads(line) for line in path.read_text().splitlines()]
                found[name] = [
                    {k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines
                ]
            else:
                found[name] = files.sha256(path)
        return found


# --- the jobs, each made from the one before ------------------------------------------------------


@pytest.fixture(scope="module")
def pretrain() -> Job:
    return Job("pretrain", PLAN.pretrain("carry", "base", 0), {}, MODEL_AND_LOG)


MODEL_AND_LOG = {"model": "model", "log": "training.jsonl"}


@pytest.fixture(scope="module")
def base(pretrain, tmp_path_factory) -> Path:
    """An uninterrupted pretraining."""
    return pretrain.finish(tmp_path_factory.mktemp("survival") / "base")


@pytest.fixture(scope="module")
def sample(base) -> Job:
    spec = PLAN.sample("carry", "base", 0)
    return Job("sample", spec, {"model": base / "model"}, {"traces": "samples.parquet"})


@pytest.fixture(scope="module")
def samples(sample, base) -> Path:
    return sample.finish(base.with_name("samples")) / "samples.parquet"


@pytest.fixture(scope="module")
def reinforce(base, samples) -> Job:
    inputs = {"start": base / "model", "reference": base / "model", "offline": samples}
    return Job("reinforce", PLAN.reinforce("carry", "stage1", 0), inputs, MODEL_AND_LOG)


@pytest.fixture(scope="module")
def reinforced(reinforce, base) -> Path:
    return reinforce.finish(base.with_name("reinforced"))


@pytest.fixture(scope="module")
def finetune(base, samples) -> Job:
    spec = PLAN.finetune("carry", "star_d", 0)
    inputs = {"start": base / "model", "selection": samples}
    return Job("finetune", spec, inputs, {"model": "model", "snapshots": "snapshots"})


@pytest.fixture(scope="module")
def finetuned(finetune, base) -> Path:
    return finetune.finish(base.with_name("finetuned"))


@pytest.fixture(scope="module")
def generate(base) -> Job:
    spec = PLAN.generate("carry", "base", 0)
    return Job("generate", spec, {"model": base / "model"}, {"attempts": "attempts.parquet"})


@pytest.fixture(scope="module")
def generated(generate, base) -> Path:
    return generate.finish(base.with_name("generated"))


JOBS = {
    "pretrain": "base",
    "sample": "samples",
    "reinforce": "reinforced",
    "finetune": "finetuned",
    "generate": "generated",
}


@pytest.fixture
def job_and_whole(request) -> tuple[Job, dict[str, Any]]:
    """A job, and the results of an uninterrupted run of it."""
    job = request.getfixturevalue(request.param)
    folder = request.getfixturevalue(JOBS[request.param])
    return job, job.results(folder if folder.is_dir() else folder.parent)


every_job = pytest.mark.parametrize("job_and_whole", JOBS, indirect=True, ids=JOBS)


def test_the_runs_compared_are_not_trivial(base, reinforced, reinforce):
    trained, untrained = (files.sha256(f / "model/model.safetensors") for f in (reinforced, base))
    assert trained != untrained
    log = reinforce.results(reinforced)["training.jsonl"]
    assert [line["step"] for line in log] == list(range(1, 9))
    assert len({line["beta2"] for line in log}) > 1


# --- kill -9 ------------------------------------------------------------------------------------


@every_job
def test_killed_after_everything_it_finishes(job_and_whole, tmp_path):
    """Run again and again, killed each time at the next file that it has put in its place."""
    job, whole = job_and_whole
    kills = 0
    while (ended := job.start(tmp_path, kill_at=1).wait()).status == KILLED:
        kills += 1
        assert kills < 30, "the job does not get any further"
        if (tmp_path / next(iter(job.outputs.values()))).exists():
            break
    assert kills, ended.errors
    assert job.results(job.finish(tmp_path)) == whole


@every_job
def test_killed_before_everything_it_finishes(job_and_whole, tmp_path):
    """Killed when a file was written whole, but not put in its place."""
    job, whole = job_and_whole
    for number in range(1, 30):
        folder = tmp_path / str(number)
        ended = job.start(folder, kill_at=number, before=True).wait()
        if ended.status == 0:
            break
        assert ended.status == KILLED, ended.errors
        assert job.results(job.finish(folder)) == whole
    assert number > 1
    assert job.results(folder) == whole


def logged(folder: Path, lines: int) -> Callable[[], bool]:
    """Whether a training job has logged so many steps."""
    log = folder / "work/training.jsonl"
    return lambda: log.is_file() and log.read_bytes().count(b"\n") >= lines


@pytest.mark.parametrize("job_and_whole", ["pretrain", "reinforce"], indirect=True)
def test_killed_at_any_step(job_and_whole, tmp_path):
    """Before the first checkpoint, between two, and again and again in one run."""
    job, whole = job_and_whole
    for lines in (1, 2, 4, 5, 7):
        ended = job.start(tmp_path).kill_when(logged(tmp_path, lines))
        assert ended.status == KILLED, ended.errors
    assert (tmp_path / "work/checkpoint.pt").is_file()
    assert not (tmp_path / "model").exists()
    assert job.results(job.finish(tmp_path)) == whole
    assert not (tmp_path / "work").exists()


def test_the_command_itself_killed_and_run_again(reinforce, reinforced, tmp_path):
    """``python -m selfcorrect.steps.reinforce`` as a person types it."""
    command = [sys.executable, "-m", "selfcorrect.steps.reinforce"]
    # In two parts, as the workflow gives it.
    command += ["--spec", reinforce.spec.model_dump_json(exclude=MEMORY)]
    command += ["--memory", reinforce.spec.model_dump_json(include=MEMORY)]
    for key, path in reinforce.paths(tmp_path).items():
        command += [f"--{key}", str(path)]
    ready, process = logged(tmp_path, 4), subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not ready():
        time.sleep(0.002)
    process.kill()
    assert process.wait() == KILLED
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert reinforce.results(tmp_path) == reinforce.results(reinforced)


def test_a_changed_spec_begins_anew(reinforce, tmp_path):
    """What another spec's run left behind is not gone on from."""
    spec = reinforce.spec.model_copy(update={"seed": 1})
    other = Job("reinforce", spec, reinforce.inputs, reinforce.outputs)
    whole = other.results(other.finish(tmp_path / "whole"))
    reinforce.start(tmp_path / "killed").kill_when(logged(tmp_path / "killed", 5))
    assert other.results(other.finish(tmp_path / "killed")) == whole


def with_memory(job: Job, memory: dict[str, dict[str, Any]]) -> Job:
    """The job with other settings of memory."""
    changed = {
        section: getattr(job.spec, section).model_copy(update=keys)
        for section, keys in memory.items()
    }
    return Job(job.name, job.spec.model_copy(update=changed), job.inputs, job.outputs)


FEWER = {"generation": {"batch_size": 2}}
OTHER = {
    "generation": {"batch_size": 16, "cache_mb": 1},
    "rl": {"prompts_per_micro_batch": 1},
    "loading": {"gradient_checkpointing": True, "reference": "cpu"},
}


@pytest.mark.parametrize("name", ["sample", "generate"])
def test_sampling_goes_on_in_smaller_parts(request, tmp_path, name):
    """As after running out of memory: parts that are there are used."""
    job, folder = request.getfixturevalue(name), request.getfixturevalue(JOBS[name])
    fewer, (result,) = with_memory(job, FEWER), job.outputs.values()

    def files_written(folder: Path) -> int:
        """By the job with smaller parts, to its end."""
        for number in range(1, 30):
            copied = folder.with_name(f"{folder.name}{number}")
            shutil.copytree(folder, copied)
            if fewer.start(copied, kill_at=number).wait().status == 0:
                return number - 1
        raise AssertionError("no end")

    (tmp_path / "begun").mkdir()
    (tmp_path / "nothing").mkdir()
    assert job.start(tmp_path / "begun", kill_at=1).wait().status == KILLED
    assert files_written(tmp_path / "begun") < files_written(tmp_path / "nothing")
    same, whole = (
        read_table(path).drop_columns(["logprobs"])  # these are equal up to rounding
        for path in (
            fewer.finish(tmp_path / "begun") / result,
            (folder if folder.is_dir() else folder.parent) / result,
        )
    )
    assert same.equals(whole)


def test_rl_goes_on_with_other_settings_of_memory(reinforce, reinforced, tmp_path):
    """From its checkpoint, to what comes out without a stop, up to rounding."""
    reinforce.start(tmp_path).kill_when(logged(tmp_path, 5))
    begun = (tmp_path / "work/training.jsonl").read_text().splitlines()[:3]
    with_memory(reinforce, OTHER).finish(tmp_path)
    log = (tmp_path / "training.jsonl").read_text().splitlines()
    assert log[:3] == begun  # times among it
    whole = (reinforced / "training.jsonl").read_text().splitlines()
    for one, other in zip(map(json.loads, log), map(json.loads, whole), strict=True):
        del one["tokens_per_second"], other["tokens_per_second"]
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


# --- damaged files ------------------------------------------------------------------------------


def refused(job: Job, folder: Path, file: Path) -> str:
    """The one line that a job ends with, which names ``file``."""
    ended = job.start(folder).wait()
    lines = ended.errors.splitlines()
    assert ended.status == 1
    assert len(lines) == 1, ended.errors
    assert lines[0].startswith(f"error: {file}: ")
    assert not any((folder / name).exists() for name in job.outputs.values())
    return lines[0]


def cut(file: Path) -> None:
    raw = file.read_bytes()
    file.write_bytes(raw[: len(raw) * 2 // 3])


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint(reinforce, reinforced, tmp_path, damage):
    reinforce.start(tmp_path, kill_at=2).wait()
    checkpoint = tmp_path / "work/checkpoint.pt"
    damage(checkpoint)
    assert "Delete it and run the same command again" in refused(reinforce, tmp_path, checkpoint)
    checkpoint.unlink()
    assert reinforce.results(reinforce.finish(tmp_path)) == reinforce.results(reinforced)


def with_copy(job: Job, key: str, folder: Path) -> tuple[Job, Path]:
    """The job with a copy of one of its inputs, to be damaged."""
    source = job.inputs[key]
    copied = folder / source.name
    if source.is_dir():
        copied.mkdir()
        for file in source.iterdir():
            (copied / file.name).write_bytes(file.read_bytes())
    else:
        copied.write_bytes(source.read_bytes())
    return Job(job.name, job.spec, {**job.inputs, key: copied}, job.outputs), copied


@pytest.mark.parametrize(
    ("name", "key"),
    [("reinforce", "start"), ("reinforce", "reference"), ("finetune", "start"), ("sample", "model"),
     ("generate", "model")],
)  # fmt: skip
def test_a_flipped_byte_in_a_models_weights(request, tmp_path, name, key):
    job, model = with_copy(request.getfixturevalue(name), key, tmp_path)
    flip(model / "model.safetensors")
    refused(job, tmp_path / "out", model / "model.safetensors")


@pytest.mark.parametrize(("name", "key"), [("reinforce", "offline"), ("finetune", "selection")])
def test_truncated_traces(request, tmp_path, name, key):
    job, traces = with_copy(request.getfixturevalue(name), key, tmp_path)
    cut(traces)
    refused(job, tmp_path / "out", traces)


@pytest.mark.parametrize("name", [provenance.SIDECAR, "config.json", "tokenizer.json"])
def test_garbage_in_a_models_json(sample, tmp_path, name):
    job, model = with_copy(sample, "model", tmp_path)
    (model / name).write_text("{garbage")
    refused(job, tmp_path / "out", model / name)


def test_an_adapter_as_the_reference(reinforce, base, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{base}/model"}}')
    inputs = {**reinforce.inputs, "reference": adapter}
    job = Job("reinforce", reinforce.spec, inputs, reinforce.outputs)
    ended = job.start(tmp_path / "out").wait()
    assert ended.status == 1
    assert ended.errors.startswith("error: tasks.carry.model.path: ") and "adapter" in ended.errors


def test_a_missing_model(sample, tmp_path):
    missing = tmp_path / "nowhere"
    job = Job("sample", sample.spec, {"model": missing}, sample.outputs)
    refused(job, tmp_path / "out", missing)


def test_truncated_samples_in_selection(samples, tmp_path):
    spec = PLAN.select("carry", "star_d", 0)
    select = Job("select", spec, {"traces": samples}, {"selection": "selection.parquet"})
    select.finish(tmp_path / "good")
    job, traces = with_copy(select, "traces", tmp_path)
    cut(traces)
    refused(job, tmp_path / "out", traces)


# --- places that cannot be used -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["pretrain", "reinforce", "finetune", "sample"])
def test_a_second_process_at_the_same_job(request, tmp_path, name):
    job = request.getfixturevalue(name)
    trains = "model" in job.outputs
    work = tmp_path / ("work" if trains else "samples.parts")
    with files.locked(work):
        assert "another run" in refused(job, tmp_path, work)
    job.finish(tmp_path)


@pytest.mark.parametrize("name", ["pretrain", "reinforce", "finetune"])
def test_a_file_in_the_place_of_the_folder(request, tmp_path, name):
    job = request.getfixturevalue(name)
    (tmp_path / "work").write_text("")
    assert "part of this path is a file" in refused(job, tmp_path, tmp_path / "work")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("name", ["pretrain", "sample"])
def test_a_folder_that_is_closed(request, tmp_path, name):
    job = request.getfixturevalue(name)
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "errors.txt").write_text("")
    closed.chmod(0o500)
    ended = job.start(closed).wait()
    closed.chmod(0o700)
    assert ended.status == 1
    assert "cannot be written to" in ended.errors
    assert str(closed) in ended.errors
