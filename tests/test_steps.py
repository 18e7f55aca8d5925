"""What all steps share: help that answers at once, errors in one line, TensorBoard's export."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import selfcorrect
import steps
from kept_models import STEPS as KEPT
from kept_models import greedy, keep, tracked
from selfcorrect.files import FileProblem
from selfcorrect.grading.sandbox import pool
from selfcorrect.jobs import MEMORY, Decode, ReinforceJob, WriteJob
from selfcorrect.lm import models
from selfcorrect.spec.programs import MBPPProblems
from selfcorrect.steps import cli, export_tensorboard, front, manifest, pretrain, write
from selfcorrect.tracefile import read_table
from selfcorrect.validation import ConfigError, parse
from tiny import language_model, plan

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
    logged = [{"step": 1, "reward_t1": 0.25, "kl_t2": 0.5}, {"step": 2, "reward_t1": 0.5}]
    log.write_text("".join(json.dumps(step) + "\n" for step in logged))
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


def test_settings_of_memory_may_stand_beside_a_spec(tmp_path):
    whole = plan().reinforce("carry", "score", 0)
    rest, memory = whole.model_dump_json(exclude=MEMORY), whole.model_dump_json(include=MEMORY)
    file = tmp_path / "spec.json"
    file.write_text(rest)
    for text in (rest, str(file)):
        assert cli.job(ReinforceJob, text, memory) == whole
    with pytest.raises(ConfigError, match="prompts_per_micro_batch"):
        cli.job(ReinforceJob, rest)
    with pytest.raises(ConfigError, match=r"^--memory: not JSON"):
        cli.job(ReinforceJob, rest, "{")
    with pytest.raises(ConfigError, match=r"^--memory: not about memory: rl\.alpha"):
        cli.job(ReinforceJob, rest, '{"rl": {"alpha": 1.0}}')
    fewer = cli.job(ReinforceJob, whole.model_dump_json(), '{"rl": {"prompts_per_micro_batch": 1}}')
    assert fewer.rl == whole.rl.model_copy(update={"prompts_per_micro_batch": 1})


def real() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def told() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")


def by_the_driver() -> None:
    raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")


def by_cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def plain() -> None:
    raise MemoryError("none")


@pytest.mark.parametrize("fail", [real, told, by_the_driver, by_cublas, plain])
def test_out_of_memory_names_the_keys_to_change(fail, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda _: fail())
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory.") and said.count("\n") == 1
    for section, keys in MEMORY.items():
        for key in keys:
            assert f"{'model' if section == 'loading' else section}.{key}" in said
    assert "model.lora takes less too, but trains everything anew" in said


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


def test_no_two_evaluations_draw_the_same(tmp_path):
    """Samples for the table and for votes, at one temperature, are other samples."""
    job = plan().generate("carry", "base", 0)
    how = {"turns": 2, "samples": 2, "temperature": 1.0, "problems": 4}
    passes = tuple(Decode(decoding=name, **how) for name in ("sampled", "voting"))
    job = job.model_copy(update={"passes": passes})
    models.save(language_model(), tmp_path / "model", {})
    place = tmp_path / "attempts.parquet"
    steps.finish("generate", job, tmp_path, model=tmp_path / "model", attempts=place)
    drawn: dict[str, list[str]] = {}
    for row in read_table(place, ["decoding", "text"]).to_pylist():
        drawn.setdefault(row["decoding"], []).append(row["text"])
    assert len(drawn["sampled"]) == len(drawn["voting"]) == 16
    assert drawn["sampled"] != drawn["voting"]


def test_the_tables_manifest_lists_what_tables_are_of(tmp_path):
    made = plan()
    folder = tmp_path / "results" / "carry" / "base" / "seed0"
    for name in ("model/provenance.json", "grades.parquet.provenance.json",
                 "voting_grades.parquet.provenance.json"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (tmp_path / "drawn").mkdir()
    found = {}
    for what in ("tables", "figures"):
        place = tmp_path / f"{what}.json"
        more = ["--figures", str(tmp_path / "drawn")] if what == "figures" else []
        manifest.main(["--spec", made.config.model_dump_json(), "--results",
                       str(tmp_path / "results"), "--tables", str(tmp_path / "drawn"),
                       "--manifest", str(place), *more])  # fmt: skip
        found[what] = {Path(path).name for path in json.loads(place.read_text())["results"]}
    assert found["tables"] == {"provenance.json", "grades.parquet.provenance.json"}
    assert found["figures"] == found["tables"] | {"voting_grades.parquet.provenance.json"}


def test_a_writer_without_a_mistake_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("selfcorrect.tasks.given.is_wrong", lambda _: False)
    models.save(language_model(), tmp_path / "model", {})
    job = plan().generate("carry", "base", 0)
    spec = WriteJob(task="carry", data=job.data, split="validation", loading=job.loading,
                    generation=job.generation)  # fmt: skip
    with pytest.raises(FileProblem, match=r"given\.jsonl: .*model answered none of \d+ problems"):
        write.main(["--spec", spec.model_dump_json(), "--model", str(tmp_path / "model"),
                    "--given", str(tmp_path / "given.jsonl")])  # fmt: skip
    assert not (tmp_path / "given.jsonl").exists()


def test_a_job_is_another_with_any_other_file_of_a_model(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "provenance.json").write_text("{}")
    job = plan().generate("carry", "base", 0)
    before = cli.identity("generate", job, tmp_path)
    (tmp_path / "provenance.json").write_text('{"seconds": 1}')
    assert cli.identity("generate", job, tmp_path) == before
    (tmp_path / "tokenizer.json").write_text('{"other": 1}')
    changed = cli.identity("generate", job, tmp_path)
    (tmp_path / "model.bin").write_bytes(b"other")
    assert before != changed != cli.identity("generate", job, tmp_path) != before


@pytest.mark.parametrize("kind", ["sample", "generate", "track", "finetune", "reinforce"])
def test_a_job_is_the_same_with_other_settings_of_memory(kind):
    node = {"finetune": "star_d", "track": "star_d", "reinforce": "score"}.get(kind, "base")
    job = getattr(plan(), kind)("carry", node, 0)
    other = {"batch_size": 3, "cache_mb": 3, "prompts_per_micro_batch": 1, "reference": "cpu",
             "traces_per_micro_batch": 1, "gradient_checkpointing": True}  # fmt: skip
    assert other.keys() == set().union(*MEMORY.values())
    sections = {
        name: section.model_copy(
            update={key: other[key] for key in keys & type(section).model_fields.keys()}
        )
        for name, keys in MEMORY.items()
        if (section := getattr(job, name, None)) is not None
    }
    changed = job.model_copy(update=sections)
    assert changed != job
    assert cli.identity(kind, changed) == cli.identity(kind, job)


def test_a_job_is_another_with_other_problems_in_its_files(tmp_path):
    rows, repaired = tmp_path / "mbpp.jsonl", tmp_path / "sanitized.json"
    job = plan().generate("carry", "base", 0)
    mbpp = {"kind": "mbpp", "sanitized": False, "rows": {"path": str(rows)}, "sandbox": {
        "cpu_seconds": 1, "wall_seconds": 5, "memory_mb": 64, "output_mb": 1,
        "allow_unsafe": False}}  # fmt: skip
    data = parse(MBPPProblems, mbpp)
    repairs = parse(MBPPProblems, {**mbpp, "rows": {"path": str(repaired)}})
    job = job.model_copy(update={"data": data, "repairs": repairs})
    found = set()
    for path in (rows, repaired):
        for text in ("one", "another"):
            rows.touch(), repaired.touch()
            path.write_text(text)
            found.add(json.dumps(cli.identity("generate", job)))
    assert len(found) == 4


@pytest.mark.parametrize("text", [None, "", "<html><body>another page</body></html>"])
def test_only_a_report_gets_a_front(text, tmp_path):
    path = tmp_path / "report.html"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FileProblem, match=f"{path}: no"):
        front.main(["--report", str(path)])


def test_a_machine_that_cannot_grade_is_refused_before_anything_is_trained(monkeypatch, tmp_path):
    nothing = pool.Protection((), {"landlock": "Function not implemented"})
    monkeypatch.setattr(pool, "protection", lambda *_: nothing)
    job = plan({"run.tasks": ["precedence"]}).pretrain("precedence", "base", 0)
    with pytest.raises(FileProblem, match="landlock: Function not implemented"):
        pretrain.main(
            ["--spec", job.model_dump_json(), "--model", str(tmp_path / "made" / "model"),
             "--log", str(tmp_path / "made" / "training.jsonl")]
        )  # fmt: skip
    assert not (tmp_path / "made" / "model").exists()
