"""Files that are either whole or not there: temporary names, renames, checksums.

A result is written beside its final name and renamed when it is complete, so a job killed at any
moment leaves either the old file or the new one (of a folder that is replaced, at worst neither).
Each has one writer at a time, the job that makes it. Reading back checks what can be checked and
names the file in every error.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class FileProblem(RuntimeError):
    """A file or folder that cannot be used; the message names it and says what to do."""


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Name ``path`` where the system refuses to write it.

    Raises:
        FileProblem: the folder is not writable or the disk is full.
    """
    try:
        yield
    except OSError as error:
        _explain(error, path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to (file or folder); rename it to ``path`` on success.

    Raises:
        FileProblem: the folder is not writable or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove(temporary)
            yield temporary
            _flush(temporary)
            if path.is_dir():
                remove(path)
            temporary.replace(path)
    finally:
        with suppress(OSError):  # must not hide what went wrong above
            remove(temporary)


def _flush(path: Path) -> None:
    """Push a file's (or a flat folder's) bytes to the disk, so that the rename comes last."""
    for file in [path, *path.iterdir()] if path.is_dir() else [path]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explain(error: OSError, path: Path) -> None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise FileProblem(
            f"{path}: the disk is full. Free some space and run the same command again; "
            "everything finished before this file is kept."
        ) from error
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise FileProblem(
            f"{path}: this folder cannot be written to. Change its permissions, "
            "or set `results` in the config to another folder."
        ) from error
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        raise FileProblem(
            f"{path}: part of this path is a file where a folder is needed. Move it away, "
            "or set `results` in the config to another folder."
        ) from error


def writable(folder: Path) -> None:
    """Make a results folder and prove that it can be written to.

    Raises:
        FileProblem: it cannot.
    """
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Under a name of its own: on a cluster every job asks, many at the same moment.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable."):
            pass


def remove(path: Path) -> None:
    """Delete a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileProblem: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FileProblem(f"{path}: no such file") from error
    except ValueError as error:
        raise damaged(path, f"not JSON ({error})") from error


def read_json_lines(path: Path) -> Iterator[Any]:
    """The values of a file of JSON lines.

    Raises:
        FileProblem: it is missing, or a line is damaged.
    """
    try:
        lines = path.read_text().rstrip("\n").split("\n")  # what JSON takes for a line end
    except FileNotFoundError as error:
        raise FileProblem(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise damaged(path, f"not UTF-8 ({error.reason} at byte {error.start})") from error
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise damaged(path, f"line {number} is not JSON") from error


def damaged(path: Path, why: str) -> FileProblem:
    """The error for a file that exists but cannot be trusted."""
    return FileProblem(
        f"{path}: damaged or truncated ({why}). Delete it and run the same command again: "
        "only this file and what depends on it will be made anew."
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A short name for a JSON value: another value has another."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file right inside ``folder``, by name."""
    return {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process alone; the kernel lets go when the process ends.

    Raises:
        FileProblem: another process holds it, or it cannot be written to.
    """
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("w")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileProblem(
                f"{folder}: another run is at work here. Wait for it, or stop it."
            ) from error
        yield
