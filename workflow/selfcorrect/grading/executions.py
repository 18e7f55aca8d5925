"""Results of executions, kept in one file that the jobs of a run share: the same program with the
same tests is executed once.

A result is kept under a digest of everything it depends on: the grader's version, Python's, the
layers of the sandbox, the limits, the program and its tests. What may be the machine's fault is not
kept: timeouts, and programs that were killed.
"""

import contextlib
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from selfcorrect.grading.sandbox.limits import Limits, Result
from selfcorrect.records import ProgramTests

Execution = tuple[str, ProgramTests]

BUSY_SECONDS = 60
AT_A_TIME = 500  # keys in one query


class Executions:
    """The file; without a path, a memory of this process alone."""

    def __init__(self, path: Path | None, grader: str, layers: Sequence[str], limits: Limits):
        """Open or make the file; one that is damaged is begun anew, which costs only time.

        One that cannot be used now is left alone: another job may hold it.
        """
        about = [grader, list(sys.version_info[:3]), sorted(layers), asdict(limits)]
        self._about = json.dumps(about).encode()
        self._path = path
        try:
            self._open()
        except sqlite3.OperationalError as error:
            print(f"{path}: not used, programs may run again ({error})", file=sys.stderr)
            self._database = _opened(None)
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)

    def _open(self) -> None:
        self._inode = 0
        if self._path is not None and self._path.is_file():
            self._inode = self._path.stat().st_ino
        self._database = _opened(self._path)
        if self._path is not None:
            self._inode = self._path.stat().st_ino

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """Put an empty file in the place of a damaged one, for this job and those that follow.

        Not in that of one which another job, that met the damage first, has put there already.
        """
        path = self._path
        assert path is not None
        print(f"{path}: damaged ({error}); begun anew", file=sys.stderr)
        try:
            if path.stat().st_ino == self._inode:
                path.unlink()
                path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
            self._open()
        except (OSError, sqlite3.DatabaseError):
            self._database = _opened(None)

    def key(self, execution: Execution) -> bytes:
        """The digest that the result of ``execution`` is kept under."""
        program, tests = execution
        content = [program, tests.entry_point, tests.code, tests.context, tests.names]
        digest = hashlib.sha256(self._about)
        # A model may write what is no UTF-8.
        digest.update(json.dumps(content).encode())
        return digest.digest()

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Result]:
        """The results that are known; none while another job holds the file for too long."""
        wanted = list(keys)
        found = {}
        for start in range(0, len(wanted), AT_A_TIME):
            part = wanted[start : start + AT_A_TIME]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, result FROM results WHERE key IN ({marks})"
            try:
                rows = self._database.execute(query, part).fetchall()
            except sqlite3.OperationalError:
                continue
            except sqlite3.DatabaseError as error:
                self._begin_anew(error)
                break
            for key, result in rows:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged: not known
                    found[key] = Result.from_message(json.loads(result))
        return found

    def keep(self, results: Mapping[bytes, Result]) -> None:
        """Add results; they are not kept while another job holds the file for too long."""
        rows = [
            (key, json.dumps(asdict(result))) for key, result in results.items() if result.certain
        ]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?)", rows)
        except sqlite3.OperationalError:
            pass
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path or ":memory:", timeout=BUSY_SECONDS, check_same_thread=False)
    # A job adds results at every step. What a crash of the machine loses or damages is executed
    # again, so nothing waits for the disk; a job that is killed leaves the file whole all the same.
    database.execute("PRAGMA synchronous = OFF")
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS results (key BLOB PRIMARY KEY, result)")
    return database
