"""Checkpoints: they come back whole, belong to one job, and cut the log back to their step."""

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from selfcorrect.files import FileProblem
from selfcorrect.lm import checkpoint, models
from selfcorrect.lm.checkpoint import Workspace
from tiny import language_model

STATE = {"step": 3, "model": {"w": torch.tensor([0.1, -0.0, float("inf")])}, "beta2": 0.1,
         "best": None}  # fmt: skip


@pytest.fixture
def work(tmp_path) -> Workspace:
    return Workspace(tmp_path, {"spec": 1})


def again(work: Workspace, **changes: int) -> Workspace:
    """The same folder, as the next process sees it."""
    return Workspace(work.folder, {"spec": 1, **changes})


def test_a_checkpoint_comes_back(work):
    work.save(STATE)
    loaded = again(work).load()
    assert torch.equal(loaded["model"]["w"], STATE["model"]["w"])
    assert torch.signbit(loaded["model"]["w"][1])
    assert (loaded["step"], loaded["beta2"], loaded["best"]) == (3, 0.1, None)


def test_a_job_begins_without_one(work):
    work.record({"step": 1})  # killed before its first checkpoint
    assert again(work).load() is None
    assert not work.log.exists()


def test_the_log_is_cut_back_to_the_checkpoint(work):
    work.record({"step": 1})
    work.save(STATE)
    kept = work.log.read_text()
    work.record({"step": 2})
    with work.log.open("a") as stream:
        stream.write('{"step": 3, "lo')  # killed in the middle of a line
    again(work).load()
    assert work.log.read_text() == kept
    work.record({"step": 2})
    assert work.log.read_text() == kept + '{"step": 2}\n'


@pytest.mark.parametrize("left", [0, 5, None])
def test_a_job_whose_log_lost_lines_begins_anew(work, left):
    """Checkpoints are on the disk when they are named, lines of the log perhaps not."""
    work.record({"step": 1})
    work.save(STATE)
    if left is None:
        work.log.unlink()
    else:
        os.truncate(work.log, left)
    assert again(work).load() is None
    assert not work.log.exists()


def test_random_numbers_go_on(work):
    torch.manual_seed(5)
    work.save(STATE)
    expected = torch.rand(4)
    torch.manual_seed(6)
    again(work).load()
    assert torch.equal(torch.rand(4), expected)


def test_a_checkpoint_of_another_job_is_not_used(work):
    work.record({"step": 1})
    work.save(STATE)
    assert again(work, spec=2).load() is None
    assert not work.checkpoint.exists()
    assert not work.log.exists()


@pytest.mark.parametrize("spec", [1, 2])
@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_checkpoint_that_another_process_deletes_meanwhile(work, monkeypatch, spec, moment):
    """The one of a team that writes leaves nothing of another job's; the others may be slower."""
    work.save(STATE)
    reader = Workspace(work.folder, {"spec": spec}, writes=False)
    if moment == "before":
        work.checkpoint.unlink()
        monkeypatch.setattr(Path, "is_file", lambda _: True)  # it was there when asked for
    else:
        digest = checkpoint._digest

        def meanwhile(stream, size):
            work.checkpoint.unlink()
            return digest(stream, size)

        monkeypatch.setattr(checkpoint, "_digest", meanwhile)
    loaded = reader.load()
    if (moment, spec) == ("while", 1):
        assert loaded["step"] == 3
    else:
        assert loaded is None


def test_the_identity_does_not_depend_on_the_order_of_keys(tmp_path):
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert Workspace(tmp_path, one).identity == Workspace(tmp_path, other).identity


@pytest.mark.parametrize("damage", [
    lambda raw: raw[:-1], lambda raw: raw[: len(raw) // 2], lambda raw: raw[:10], lambda raw: b"",
    lambda raw: raw + b"\0", lambda raw: raw[:200] + bytes([raw[200] ^ 1]) + raw[201:],
])  # fmt: skip
def test_damage_is_recognised_and_named(work, damage):
    work.save(STATE)
    work.checkpoint.write_bytes(damage(work.checkpoint.read_bytes()))
    with pytest.raises(FileProblem, match=f"^{work.checkpoint}: damaged.*Delete it"):
        again(work).load()


def refusing(*arguments, **more):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_last_checkpoint(work, monkeypatch):
    work.save(STATE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode: open("/dev/full", mode))  # noqa: PTH123, SIM115
        with pytest.raises(FileProblem, match=f"^{work.checkpoint}: the disk is full"):
            work.save({**STATE, "step": 6})
    assert again(work).load()["step"] == 3


def test_a_log_on_a_full_disk_is_named(work, monkeypatch):
    monkeypatch.setattr(Path, "open", refusing)
    with pytest.raises(FileProblem, match=f"^{work.log}: the disk is full"):
        work.record({"step": 1})


@pytest.mark.parametrize(
    ("said", "expected", "why"),
    [
        ("Error while serializing: I/O error: No space left on device (os error 28)",
         FileProblem, "the disk is full"),
        ("Error while serializing: I/O error: Permission denied (os error 13)",
         FileProblem, "cannot be written to"),
        ("Error while serializing: InvalidHeader", OSError, "InvalidHeader"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_written(tmp_path, monkeypatch, said, expected, why):
    """As safetensors says it: the system's error is in the text alone."""
    lm = language_model()
    models.save(lm, tmp_path / "model", {})

    def refuse(folder, **more):
        raise SafetensorError(said)

    monkeypatch.setattr(lm.model, "save_pretrained", refuse)
    with pytest.raises(expected, match=why):
        models.save(lm, tmp_path / "model", {})
    models.load(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
