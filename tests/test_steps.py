"""What all steps share: help that answers at once, errors in one line, TensorBoard's export."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import selfcorrect
from kept_models import STEPS as KEPT
from kept_models import greedy, keep, tracked
from selfcorrect.files import FileProblem
from selfcorrect.steps import cli, export_tensorboard
from tiny import plan

FOLDER = Path(selfcorrect.__file__).parent / "steps"
STEPS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "cli"))
HEAVY = {"torch", "transformers", "trl", "datasets", "pandas", "scipy", "matplotlib", "pyarrow"}


@pytest.mark.parametrize("step", STEPS)
def test_help_tells_the_command_and_loads_nothing_heavy(step):
    program = (
        "import sys, runpy\n"
        f"sys.argv = ['{step}', '--help']\n"
        f"try: runpy.run_module('selfcorrect.steps.{step}', run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        f"print('HEAVY', sorted({HEAVY!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"python -m selfcorrect.steps.{step}" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("spec", ["{}", "{half", '{"task": 1}', "no/such/spec.json"])
def test_a_bad_spec_is_one_line(spec, tmp_path):
    command = ["grade", "--spec", spec, "--attempts", "a.parquet", "--grades", "b.parquet"]
    done = subprocess.run(
        [sys.executable, "-m", f"selfcorrect.steps.{command[0]}", *command[1:]],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_tensorboard_gets_every_number_of_every_step(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = tmp_path / "training.jsonl"
    steps = [{"step": 1, "reward_t1": 0.25, "kl_t2": 0.5}, {"step": 2, "reward_t1": 0.5}]
    log.write_text("".join(json.dumps(step) + "\n" for step in steps))
    export_tensorboard.main(["--log", str(log), "--events", str(tmp_path / "events")])
    events = accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("reward_t1")] == [(1, 0.25), (2, 0.5)]
    assert [(e.step, e.value) for e in events.Scalars("kl_t2")] == [(1, 0.5)]


def test_a_damaged_log_is_named(tmp_path):
    log = tmp_path / "training.jsonl"
    log.write_text('{"step": 1}\n{"step": 2, "rew')
    with pytest.raises(FileProblem, match=r"training\.jsonl.*line 2"):
        export_tensorboard.main(["--log", str(log), "--events", str(tmp_path / "events")])
    assert not (tmp_path / "events").exists()


def real() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def told() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")


def plain() -> None:
    raise MemoryError("none")


@pytest.mark.parametrize("fail", [real, told, plain])
def test_out_of_memory_names_the_keys_to_change(fail, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda _: fail())
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory.") and said.count("\n") == 1
    for key in ("generation.batch_size", "rl.prompts_per_micro_batch", "model.lora"):
        assert key in said
    assert "begins anew" in said and "methods.<name>.rl." in said


def test_any_other_error_is_shown_whole():
    def fail(_: object) -> None:
        raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault of the program"):
        cli.run(fail)


def test_what_is_imported_is_not_collected():
    try:
        with pytest.raises(ImportError), cli.importing():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() and gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_kept_models_are_sampled_one_after_the_other(tmp_path):
    """Each is sampled as by itself; given first attempts are those of the start."""
    made = plan()
    alone = {}
    for step, place in reversed(keep(tmp_path, width=16).items()):
        alone[step] = greedy(made, place, tmp_path)
    found = tracked(made, tmp_path)
    assert found.keys() == {f"{whose}-{step}" for whose in ("own", "fixed") for step in KEPT}
    for step in KEPT:
        assert found[f"own-{step}"] == alone[step]
        firsts, seconds = zip(*found[f"fixed-{step}"], strict=True)
        assert list(firsts) == [first for first, _ in alone[0]]
        if step:
            assert list(seconds) != [second for _, second in alone[0]]
    assert alone[0] != alone[3] != alone[6], "equal models would test nothing"
