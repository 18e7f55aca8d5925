"""Files of published benchmarks: read, checked, and every fault told with its place."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from selfcorrect import files
from selfcorrect.files import FileProblem

REMEDY = "Fetch the file anew, or correct `path` in the config."


class Record(BaseModel):
    """One problem as a file holds it. Keys that a subclass does not name are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    task_id: int | str


AnyRecord = TypeVar("AnyRecord", bound=Record)


def read_records(
    path: Path, kind: type[AnyRecord], count: int | None, sha256: str | None
) -> list[AnyRecord]:
    """The records of a file: JSON lines or one JSON array, gzipped if its name says so.

    Args:
        path: of the file.
        kind: of the records.
        count: how many the file must have; None for any number.
        sha256: the file's checksum; None for any.

    Raises:
        FileProblem: the file is not there, not the one with that ``sha256``, or not what it
            should be.
    """
    text = _text(path, sha256)
    records: dict[int | str, AnyRecord] = {}
    for place, value in _values(path, text):
        record = _record(path, place, value, kind)
        if record.task_id in records:
            raise fault(path, f"{place}: task_id {record.task_id!r} is there twice")
        records[record.task_id] = record
    if count is not None and len(records) != count:
        raise fault(path, f"{len(records)} problems, but the benchmark has {count}")
    return list(records.values())


def fault(path: Path, what: str) -> FileProblem:
    """The error for a benchmark's file that cannot be used."""
    return FileProblem(f"{path}: {what}. {REMEDY}")


def _text(path: Path, sha256: str | None) -> str:
    try:
        found = files.sha256(path)
        if sha256 is not None and found != sha256:
            raise FileProblem(
                f"{path}: not the expected file: its SHA-256 is {found}, the config's `sha256` is "
                f"{sha256}. Fetch the file anew, or correct `path` or `sha256` in the config."
            )
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except FileNotFoundError as error:
        raise fault(path, "no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise fault(path, f"cannot be read ({error})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fault(path, f"line {line} is not UTF-8 ({error.reason})") from error


def _values(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """The values of a file, each with its place."""
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except ValueError as error:
            raise fault(path, f"not JSON ({error})") from error
        for number, item in enumerate(items, start=1):
            yield f"item {number}", item
        return
    # Not splitlines(): characters that JSON need not escape would end a line.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise fault(path, f"line {number} is not JSON ({error})") from error
        yield f"line {number}", value


def _record(path: Path, place: str, value: Any, kind: type[AnyRecord]) -> AnyRecord:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        task_id = value.get("task_id") if isinstance(value, dict) else None
        where = place if task_id is None else f"{place} (task_id {task_id!r})"
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise fault(path, f"{where}: {f'`{key}`: ' if key else ''}{first['msg']}") from error
