"""Files of another writer's wrong attempts."""

import json

import pytest

from selfcorrect.files import FileProblem
from selfcorrect.records import Problem
from selfcorrect.tasks.given import read_given, write_given

PROBLEMS = [Problem(name, "q", "a", "") for name in ("p", "q", "r")]


def test_what_is_written_is_read(tmp_path):
    given = [(PROBLEMS[2], "x\u2028 = 'é'\n"), (PROBLEMS[0], "")]
    write_given(tmp_path / "given.jsonl", given)
    assert read_given(tmp_path / "given.jsonl", PROBLEMS) == given


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"problem": "s", "text": ""}, "line 2: no problem is called 's'"),
        ({"problem": "p", "text": ""}, "line 2: 'p' is there twice"),
        ({"problem": "q"}, "line 2: not an object with texts `problem` and `text`"),
        ({"problem": 1, "text": ""}, "line 2: not an object with texts"),
        ([], "line 2: not an object"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, line, what):
    path = tmp_path / "given.jsonl"
    path.write_text(json.dumps({"problem": "p", "text": ""}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(FileProblem, match=f"^{path}: {what}"):
        read_given(path, PROBLEMS)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"problem": "p", "text": "caf\xe9"}\n', "line 1 is not UTF-8"),
        (b'{"problem": "p", "text": ""}\n{"problem": "q", "te', "line 2 is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, content, what):
    path = tmp_path / "given.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileProblem, match=f"^{path}: {what}.* Mend the file"):
        read_given(path, PROBLEMS)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileProblem, match="no such file"):
        read_given(tmp_path / "given.jsonl", PROBLEMS)
