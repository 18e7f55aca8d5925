"""Reading a benchmark's file, above all one that is not what it should be."""

import gzip
import hashlib
import json
import re

import pytest

from selfcorrect.files import FileProblem
from selfcorrect.tasks.benchmark import Record, read_records


class Item(Record):
    text: str
    tests: list[str]


def item(task_id, **changes):
    return {"task_id": task_id, "text": "Add.", "tests": ["f(1)"], "unused": 0, **changes}


def lines(*items):
    return "".join(json.dumps(each) + "\n" for each in items).encode()


@pytest.fixture
def write(tmp_path):
    def written(content, name="file.jsonl"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return written


ITEMS = item(1), item("b", text="two\u2028lines, {braces}, é")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("file.jsonl", lines(*ITEMS)),
        ("no-newline-at-end.jsonl", lines(*ITEMS).strip()),
        ("empty-lines.jsonl", b"\n" + lines(*ITEMS).replace(b"\n", b"\n \n")),
        ("unescaped.jsonl", "\n".join(json.dumps(i, ensure_ascii=False) for i in ITEMS).encode()),
        ("windows.jsonl", lines(*ITEMS).replace(b"\n", b"\r\n")),
        ("byte-order-mark.jsonl", b"\xef\xbb\xbf" + lines(*ITEMS)),
        ("array.json", json.dumps(ITEMS).encode()),
        ("indented.json", json.dumps(ITEMS, indent=2).encode()),
        ("zipped.jsonl.gz", gzip.compress(lines(*ITEMS), mtime=0)),
    ],
)
def test_a_file_is_read_in_each_of_its_forms(write, name, content):
    path = write(content, name)
    checksum = hashlib.sha256(content).hexdigest()
    one, two = read_records(path, Item, 2, checksum)
    assert one == Item(task_id=1, text="Add.", tests=["f(1)"])
    assert (two.task_id, two.text) == ("b", ITEMS[1]["text"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", lines(item(1)), "1 problems, but the benchmark has 2"),
        ("a.jsonl", b"", "0 problems, but the benchmark has 2"),
        ("a.jsonl", lines(item(1), item(2), item(3)), "3 problems, but the benchmark has 2"),
        ("a.jsonl", lines(item(1), item(1)), "line 2: task_id 1 is there twice"),
        ("a.jsonl", lines(item(1)) + b'{"task_id": 2,\n', r"line 2 is not JSON \(.*\)"),
        ("a.json", b'[{"task_id": 2},', r"not JSON \(.*\)"),
        ("a.jsonl", lines(item(1), 5), "line 2: .*dictionary.*"),
        ("a.jsonl", lines(item(1), {"task_id": 7}), r"line 2 \(task_id 7\): `text`: .*required"),
        ("a.jsonl", lines(item(1, text=3)), r"line 1 \(task_id 1\): `text`: .*string"),
        ("a.jsonl", lines(item("x/1", tests=[1])), r"line 1 \(task_id 'x/1'\): `tests\.0`: .*"),
        ("a.jsonl", lines({"text": ""}), r"line 1: `task_id.*`: .*"),
        ("a.json", json.dumps([item(1), {}]).encode(), r"item 2: `task_id.*`: .*"),
        ("a.jsonl", lines(item(1)) + b"\xff\n", r"line 2 is not UTF-8 \(.*\)"),
        (
            "a.jsonl",
            lines(item(1), item(2, text="\ud800")),
            r"line 2 holds half a character, .ud800",
        ),
        ("a.json", json.dumps([item("\udc00")]).encode(), r"item 1 holds half a character, .udc00"),
        ("a.jsonl.gz", lines(item(1)), r"cannot be read \(.*\)"),
        ("a.jsonl.gz", gzip.compress(lines(item(1)), mtime=0)[:-9], r"cannot be read \(.*\)"),
    ],
)
def test_a_fault_is_told_with_file_and_place(write, name, content, message):
    path = write(content, name)
    whole = f"{re.escape(str(path))}: {message}. Mend the file or fetch it anew"
    with pytest.raises(FileProblem, match=whole):
        read_records(path, Item, 2, None)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(FileProblem, match=r"none\.jsonl: no such file. Mend"):
        read_records(tmp_path / "none.jsonl", Item, 1, None)
    with pytest.raises(FileProblem, match="cannot be read"):
        read_records(tmp_path, Item, 1, None)


def test_another_checksum_is_told_with_both(write):
    content = lines(item(1))
    path, found = write(content), hashlib.sha256(content).hexdigest()
    with pytest.raises(
        FileProblem, match=f"SHA-256 is {found}, the config's `sha256` is {'0' * 64}"
    ):
        read_records(path, Item, 1, "0" * 64)
