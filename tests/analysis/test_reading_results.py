"""Reading grades and logs: places, and files that cannot be trusted."""

from pathlib import Path

import pytest

from selfcorrect.analysis.results import (
    Place,
    place,
    read_all_attempts,
    read_all_grades,
    read_grades,
    read_log,
)
from selfcorrect.analysis.summary import summarise
from selfcorrect.files import FileProblem


def test_a_place_is_read_off_the_last_folders():
    path = Path("/somewhere/results/carry/star_d.round1/seed12/grades.parquet")
    assert place(path) == Place("carry", "star_d.round1", 12)


@pytest.mark.parametrize(
    "path", ["grades.parquet", "carry/base/grades.parquet", "carry/base/seedx/grades.parquet"]
)
def test_a_path_without_a_place_is_refused(path):
    with pytest.raises(FileProblem, match=path):
        place(Path(path))


def test_a_truncated_file_is_named(write_grades):
    path = write_grades("base", ["rr"] * 50)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileProblem, match=f"{path}.*damaged"):
        read_grades(path)


def test_grades_with_holes_are_damaged(write_grades):
    path = write_grades("base", ["rr", "rrr"])
    with pytest.raises(FileProblem, match=f"{path}.*missing or doubled"):
        read_grades(path)


def test_grades_without_greedy_attempts_are_damaged(write_grades):
    path = write_grades("base", [], sampled=["rr", "rw"])
    with pytest.raises(FileProblem, match="no greedy attempts"):
        read_grades(path)


def test_models_graded_on_other_problems_are_not_compared(write_grades, job):
    paths = [write_grades("base", ["rr"] * 4), write_grades("score", ["rr"] * 5)]
    with pytest.raises(FileProblem, match=f"{paths[1]}: graded on other problems"):
        summarise(read_all_grades(paths), job)


def test_attempts_for_figures_are_checked_like_grades(write_grades):
    whole, other = write_grades("base", ["rr"] * 4), write_grades("score", ["rr"] * 5)
    with pytest.raises(FileProblem, match=f"{other}: graded on other problems than {whole}"):
        read_all_attempts([whole, other])
    with pytest.raises(FileProblem, match=r"seed1.*damaged.*greedy: attempts are missing"):
        read_all_attempts([write_grades("base", ["rr", "rrr"], seed=1)])
    with pytest.raises(FileProblem, match=r"seed2.*damaged.*fewer than two attempts"):
        read_all_attempts([write_grades("base", ["r", "w"], seed=2)])


def test_a_step_logged_twice_counts_as_last_run(tmp_path):
    path = tmp_path / "training.jsonl"
    path.write_text('{"step": 2, "reward_t1": 0.1}\n{"step": 1, "reward_t1": 0.2}\n'
                    '{"step": 2, "reward_t1": 0.3}\n')  # fmt: skip
    assert read_log(path)["reward_t1"].tolist() == [0.2, 0.3]


@pytest.mark.parametrize("text", ['{"step": 1}\n{"ste', "3\n", '{"reward_t1": 1}\n'])
def test_a_damaged_log_is_named(tmp_path, text):
    path = tmp_path / "training.jsonl"
    path.write_text(text)
    with pytest.raises(FileProblem, match=f"{path}.*damaged"):
        read_log(path)
