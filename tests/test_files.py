"""Outputs are whole or not there, damage is named, and trace files come back as they were."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfcorrect import files, provenance
from selfcorrect.collect import Pass, collect
from selfcorrect.files import FileProblem, replacing
from selfcorrect.records import Attempt, Problem, Trace
from selfcorrect.tracefile import read_table, read_traces, write_traces
from selfcorrect.validation import Strict

FULL = OSError(errno.ENOSPC, "No space left on device")
CLOSED = PermissionError(errno.EACCES, "Permission denied")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def old(tmp_path) -> Path:
    """A result of an earlier run."""
    path = tmp_path / "result.txt"
    path.write_text("old")
    return path


# --- replacing ----------------------------------------------------------------------------------


def test_a_file_appears_when_it_is_complete(old):
    with replacing(old) as temporary:
        temporary.write_text("new")
        assert old.read_text() == "old"
    assert old.read_text() == "new"
    assert names(old.parent) == {"result.txt"}


def test_a_folder_replaces_the_one_before(tmp_path):
    for content in ("one", "two"):
        with replacing(tmp_path / "new/model") as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert names(tmp_path / "new/model") == {"two"}
    assert names(tmp_path / "new") == {"model"}


def test_what_a_killed_run_left_behind_is_cleared_away(old):
    old.with_name(".result.txt.partial").mkdir()
    with replacing(old) as temporary:
        temporary.write_text("new")
    assert names(old.parent) == {"result.txt"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interruption_leaves_the_old_version(old, interruption):
    with pytest.raises(interruption), replacing(old) as temporary:
        temporary.write_text("half")
        raise interruption
    assert old.read_text() == "old"
    assert names(old.parent) == {"result.txt"}


def test_a_kill_leaves_the_old_version(old):
    code = (
        "import os, signal, sys; from pathlib import Path; from selfcorrect import files\n"
        "with files.replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(old)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert old.read_text() == "old"


REFUSALS = pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (FULL, "the disk is full"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "the disk is full"),
        (CLOSED, "cannot be written to"),
        (READ_ONLY, "cannot be written to"),
    ],
    ids=["full", "quota", "closed", "read-only"],
)


@REFUSALS
def test_a_refused_write_names_the_file(old, refusal, said):
    with pytest.raises(FileProblem, match=f"^{old}: .*{said}"), replacing(old) as temporary:
        temporary.write_text("half")
        raise refusal
    assert old.read_text() == "old"
    assert names(old.parent) == {"result.txt"}


@REFUSALS
@pytest.mark.parametrize("call", ["fsync", "mkdir"])
def test_refusals_before_and_after_the_write(old, monkeypatch, refusal, said, call):
    """A full disk may show only when bytes are flushed, a closed folder when it is made."""

    def refuse(*arguments, **more):
        raise refusal

    with pytest.raises(FileProblem, match=f"^{old}: .*{said}"), monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse) if call == "fsync" else patch.setattr(
            Path, "mkdir", refuse
        )
        with replacing(old) as temporary:
            temporary.write_text("new")
    assert old.read_text() == "old"
    assert names(old.parent) == {"result.txt"}


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_disk_that_is_really_full(old):
    with pytest.raises(FileProblem, match=f"^{old}: the disk is full"), replacing(old) as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("new")
    assert old.read_text() == "old"
    assert names(old.parent) == {"result.txt"}


def test_a_file_where_a_folder_is_needed(old):
    with pytest.raises(FileProblem, match=r"result\.txt/deeper/x: part of this path is a file"):
        files.write_json(old / "deeper/x", {})
    assert old.read_text() == "old"


def test_other_errors_are_passed_on(old):
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing(old):
        Path("/no/such/elsewhere").read_text()


def test_a_results_folder_is_tried_beforehand(tmp_path, monkeypatch):
    files.writable(tmp_path / "new/results")
    assert names(tmp_path / "new/results") == set()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileProblem, match="part of this path is a file"):
        files.writable(tmp_path / "file")

    def refuse(*arguments, **more):
        raise CLOSED

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(FileProblem, match="set `results` in the config"):
        files.writable(tmp_path / "new/results")


# --- reading back -------------------------------------------------------------------------------


def test_json(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"Δ": [1, None, 0.5]})
    assert files.read_json(path) == {"Δ": [1, None, 0.5]}
    path.write_text(path.read_text()[:-5])
    with pytest.raises(FileProblem, match=f"^{path}: damaged or truncated.*Delete it"):
        files.read_json(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FileProblem, match=f"^{path}: damaged"):
        files.read_json(path)
    with pytest.raises(FileProblem, match=f"^{path}x: no such file"):
        files.read_json(tmp_path / "a.jsonx")


def test_checksums(tmp_path):
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "folder").mkdir()
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.checksums(tmp_path) == {"b": abc}


def test_a_sealed_folder_tells_what_changed(tmp_path):
    (tmp_path / "weights").write_bytes(b"abc")
    provenance.check(tmp_path)  # unsealed: nothing to compare
    provenance.seal(tmp_path, {"job": "test"})
    provenance.check(tmp_path)
    assert json.loads((tmp_path / provenance.SIDECAR).read_text())["job"] == "test"
    (tmp_path / "weights").write_bytes(b"abd")
    with pytest.raises(FileProblem, match=f"^{tmp_path / 'weights'}: damaged"):
        provenance.check(tmp_path)


def test_a_record_says_what_a_result_depends_on(tmp_path):
    class Job(Strict):
        seed: int

    path = tmp_path / "grades.parquet"
    provenance.write_beside(path, provenance.describe(Job(seed=3), provenance.Stopwatch(), rows=5))
    record = json.loads((tmp_path / "grades.parquet.provenance.json").read_text())
    assert (record["job"], record["spec"], record["rows"]) == ("Job", {"seed": 3}, 5)
    assert record.keys() >= {"commit", "python", "packages", "device", "started", "seconds"}
    assert record["packages"]["torch"]


# --- locks --------------------------------------------------------------------------------------


def test_a_folder_is_held_by_one_process(tmp_path):
    with (
        files.locked(tmp_path / "work"),
        pytest.raises(FileProblem, match=f"^{tmp_path / 'work'}: another run"),
        files.locked(tmp_path / "work"),
    ):
        pytest.fail("held twice")
    with files.locked(tmp_path / "work"):
        pass


def test_a_killed_process_lets_go(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from selfcorrect import files\n"
        "with files.locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with files.locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(old):
    with pytest.raises(FileProblem, match=f"^{old}/work: "), files.locked(old / "work"):
        pytest.fail("held")


# --- trace files --------------------------------------------------------------------------------

PROBLEMS = {name: Problem(name, name, "1", "1") for name in ("p", "q", "r")}
tokens = st.lists(st.integers(0, 2**31 - 1), max_size=5)
single = st.floats(-50, 0, width=32)


@st.composite
def attempts(draw) -> Attempt:
    written = draw(tokens)
    logprobs = draw(st.lists(single, min_size=len(written), max_size=len(written)))
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
    return Attempt(draw(tokens), written, logprobs, text, draw(st.booleans()), draw(st.booleans()))


traces = st.builds(
    Trace,
    problem=st.sampled_from(list(PROBLEMS.values())),
    sample=st.integers(0, 9),
    attempts=st.lists(attempts(), min_size=1, max_size=4),
)


@settings(max_examples=25)  # each waits for the disk
@given(st.lists(traces, max_size=6), st.lists(traces, max_size=3))
def test_traces_come_back_as_they_were(tmp_path_factory, greedy, sampled):
    path = tmp_path_factory.mktemp("traces") / "traces.parquet"
    write_traces(path, {"greedy": greedy, "sampled": sampled})
    assert read_traces(path, PROBLEMS) == [*greedy, *sampled]
    decoding = read_table(path, ["decoding"])["decoding"].to_pylist()
    assert decoding.count("greedy") == sum(len(trace.attempts) for trace in greedy)


ONE = Trace(PROBLEMS["p"], 0, [Attempt([4], [5, 1], [-0.5, -0.25], "5", False)] * 2)


@pytest.fixture
def written(tmp_path) -> Path:
    path = tmp_path / "traces.parquet"
    write_traces(path, {"sampled": [ONE] * 50})
    return path


@pytest.mark.parametrize("left", [0, 3, 100, -1])
def test_a_truncated_trace_file_is_named(written, left):
    written.write_bytes(written.read_bytes()[:left])
    with pytest.raises(FileProblem, match=f"^{written}: damaged"):
        read_traces(written, PROBLEMS)


def test_a_missing_trace_file_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"traces\.parquet: no such file"):
        read_traces(tmp_path / "traces.parquet", PROBLEMS)


def test_another_table_is_named(tmp_path, written):
    with pytest.raises(FileProblem, match=f"^{written}: damaged"):
        read_table(written, ["verdict"])


def test_a_problem_that_the_task_does_not_have(written):
    with pytest.raises(FileProblem, match=f"^{written}: problem 'p' is not in the task's data"):
        read_traces(written, {"q": PROBLEMS["q"]})


# --- long sampling in parts ---------------------------------------------------------------------


class Sampler:
    """Counts what it is asked for, and stops when told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked: list[list[str]] = []
        self.stop_at = stop_at

    def __call__(self, problems) -> list[Trace]:
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append([problem.id for problem in problems])
        return [Trace(problem, 0, ONE.attempts) for problem in problems]


def collected(tmp_path: Path, sampler: Sampler, identity: str = "job", at_a_time: int = 2) -> Path:
    path = tmp_path / "all.parquet"
    problems = list(PROBLEMS.values())
    passes = [Pass(name, problems, at_a_time, sampler) for name in ("greedy", "sampled")]
    collect(path, passes, tmp_path / "parts", {"is": identity})
    return path


ASKED = [["p", "q"], ["r"]] * 2


def test_parts_make_one_file(tmp_path):
    sampler = Sampler()
    path = collected(tmp_path, sampler)
    assert sampler.asked == ASKED
    assert [t.problem.id for t in read_traces(path, PROBLEMS)] == ["p", "q", "r"] * 2
    assert names(tmp_path) == {"all.parquet"}


def test_parts_that_are_done_are_not_sampled_again(tmp_path):
    first, second = Sampler(stop_at=3), Sampler()
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, first)
    again = collected(tmp_path, second)
    assert [*first.asked, *second.asked] == ASKED
    assert len(second.asked) == 1
    (tmp_path / "other").mkdir()
    assert files.sha256(again) == files.sha256(collected(tmp_path / "other", Sampler()))


@pytest.mark.parametrize(
    ("before", "after", "stop_at", "asked"),
    [
        (2, 1, 1, [["p", "q"], ["r"], ["p"], ["q"], ["r"]]),
        (1, 3, 2, [["p"], ["q"], ["r"], ["p", "q", "r"]]),
        (1, 2, 5, [["p"], ["q"], ["r"], ["p"], ["q"], ["r"]]),
    ],
)
def test_parts_of_another_size_are_used(tmp_path, before, after, stop_at, asked):
    """As after running out of memory."""
    first, second = Sampler(stop_at=stop_at), Sampler()
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, first, at_a_time=before)
    path = collected(tmp_path, second, at_a_time=after)
    assert [*first.asked, *second.asked] == asked
    assert [t.problem.id for t in read_traces(path, PROBLEMS)] == ["p", "q", "r"] * 2


def test_parts_that_lie_later_are_filled_up_to(tmp_path):
    """As when a damaged part was deleted."""
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, Sampler(stop_at=3), at_a_time=1)
    for part in (tmp_path / "parts").glob("*-greedy/0000001-*.parquet"):
        part.unlink()
    sampler = Sampler()
    collected(tmp_path, sampler, at_a_time=3)
    assert sampler.asked == [["q"], ["p", "q", "r"]]


def test_parts_of_another_job_are_not_used(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, Sampler(stop_at=3), "one spec")
    sampler = Sampler()
    collected(tmp_path, sampler, "another spec")
    assert sampler.asked == ASKED


def test_a_damaged_part_is_named_and_made_anew_once_it_is_gone(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, Sampler(stop_at=3))
    part = max((tmp_path / "parts").glob("*-greedy/*.parquet"))
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(FileProblem, match=f"^{part}: damaged"):
        collected(tmp_path, Sampler())
    part.unlink()
    sampler = Sampler()
    collected(tmp_path, sampler)
    assert sampler.asked == ASKED[1:2]


def test_parts_are_kept_when_the_last_file_cannot_be_written(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    write = pq.write_table

    def full(table, where, **more):
        if "all.parquet" in str(where):
            raise FULL
        write(table, where, **more)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(FileProblem, match=r"all\.parquet: the disk is full"):
            collected(tmp_path, Sampler())
    sampler = Sampler()
    collected(tmp_path, sampler)
    assert sampler.asked == []
