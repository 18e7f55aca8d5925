"""Published benchmarks, from files or from the Hub: checked, every fault told with its place."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from selfcorrect import files
from selfcorrect.files import FileProblem
from selfcorrect.spec.source import Source

REMEDY = "Mend the file or fetch it anew, or name another one in the config."
HUB_REMEDY = (
    "Correct `hub`, `subsets`, `split` or `revision` in the config; for a dataset that asks for "
    "permission log in (`hf auth login`); without a network give a file as `path` instead."
)


class Record(BaseModel):
    """One problem as a file holds it. Keys that a subclass does not name are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    task_id: int | str | None


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
    return _records(path, read_values(path, sha256), kind, count)


def read_source(source: Source, kind: type[AnyRecord], count: int) -> list[AnyRecord]:
    """The records of a part of a benchmark, wherever they come from.

    Raises:
        FileProblem: there is nothing, or not what it should be.
    """
    if source.path is not None:
        return read_records(Path(source.path), kind, count, source.sha256)
    return _records(source, _rows(source), kind, count)


def fault(place: Path | Source, what: str) -> FileProblem:
    """The error for a benchmark's file or dataset that cannot be used."""
    remedy = HUB_REMEDY if isinstance(place, Source) and place.path is None else REMEDY
    return FileProblem(f"{place}: {what}. {remedy}")


def _records(
    source: Path | Source,
    values: Iterator[tuple[str, Any]],
    kind: type[AnyRecord],
    count: int | None,
) -> list[AnyRecord]:
    records: dict[int | str, AnyRecord] = {}
    for place, value in values:
        record = _record(source, place, value, kind)
        key = place if record.task_id is None else record.task_id
        if key in records:
            raise fault(source, f"{place}: task_id {record.task_id!r} is there twice")
        records[key] = record
    if count is not None and len(records) != count:
        raise fault(source, f"{len(records)} problems, but the benchmark has {count}")
    return list(records.values())


def _rows(source: Source) -> Iterator[tuple[str, Any]]:
    """The rows of a dataset on the Hub, or of its copy in the cache, each with its place."""
    import datasets

    assert source.hub is not None
    for subset in source.subsets or (None,):
        try:
            rows = datasets.load_dataset(
                source.hub, subset, split=source.split, revision=source.revision
            )
        except Exception as error:  # of many kinds, by what is missing and where
            said = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise fault(source, f"cannot be loaded ({said[0]})") from error
        for number, row in enumerate(rows):
            yield f"row {number}{f' of {subset}' if subset else ''}", row


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


def read_values(path: Path, sha256: str | None = None) -> Iterator[tuple[str, Any]]:
    """The values of a file, each with its place: JSON lines or one JSON array.

    Raises:
        FileProblem: the file is not there, not the one with that ``sha256``, or no such file.
    """
    text = _text(path, sha256)
    escapes = "\\u" in text
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise fault(path, f"not JSON ({error})") from error
        for number, item in enumerate(items, start=1):
            yield f"item {number}", _sound(path, f"item {number}", item) if escapes else item
        return
    # Not splitlines(): characters that JSON need not escape would end a line.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise fault(path, f"line {number} is not JSON ({error})") from error
        yield f"line {number}", _sound(path, f"line {number}", value) if escapes else value


def _sound(path: Path, place: str, value: Any) -> Any:
    """A value whose texts can be encoded: JSON can escape half a character, which is none."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("ascii", "backslashreplace").decode()
        raise fault(path, f"{place} holds half a character, {half}") from error
    return value


def _record(path: Path | Source, place: str, value: Any, kind: type[AnyRecord]) -> AnyRecord:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        task_id = value.get("task_id") if isinstance(value, dict) else None
        where = place if task_id is None else f"{place} (task_id {task_id!r})"
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise fault(path, f"{where}: {f'`{key}`: ' if key else ''}{first['msg']}") from error
