"""Long sampling in parts: each part is kept as it is done, and not sampled again after a stop."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfcorrect import files
from selfcorrect.progress import Progress
from selfcorrect.records import Problem, Trace
from selfcorrect.tracefile import read_table, write_table, write_traces


@dataclass(frozen=True, slots=True)
class Pass:
    """One way of going over problems, so many at a time: ``sample(problems)`` -> traces."""

    decoding: str
    problems: Sequence[Problem]
    at_a_time: int
    sample: Callable[[Sequence[Problem]], list[Trace]]


def collect(
    path: Path,
    passes: Sequence[Pass],
    work: Path,
    identity: dict[str, Any],
) -> None:
    """Sample the traces of all passes in parts and write them to one file.

    Args:
        path: the trace file to write.
        passes: what is sampled, one after the other.
        work: folder for finished parts; deleted in the end.
        identity: of the job; parts of another job are not used.
    """
    import pyarrow as pa

    with files.locked(work):
        key = files.digest(identity)
        parts = [
            (one, part, work / f"{key}-{one.decoding}-{part.start:07d}-{part.stop:07d}.parquet")
            for one in passes
            for part in _parts(one, _done(work, f"{key}-{one.decoding}"))
        ]
        progress = Progress(path.stem, len(parts))
        for one, part, kept in parts:
            if not kept.is_file():
                traces = one.sample(one.problems[part.start : part.stop])
                write_traces(kept, {one.decoding: traces})
            progress.advance()
        progress.close()
        write_table(path, pa.concat_tables([read_table(kept) for _, _, kept in parts]))
    files.remove(work)


def _done(work: Path, name: str) -> dict[int, int]:
    """Of parts that are there: after which problem each ends, by the one that it begins with."""
    named = re.compile(re.escape(name) + r"-(\d+)-(\d+)\.parquet")
    found = (named.fullmatch(path.name) for path in work.iterdir())
    return {int(each[1]): int(each[2]) for each in found if each}


def _parts(one: Pass, done: Mapping[int, int]) -> Iterator[range]:
    """Problems in parts: as they are there, of whatever size, and what is between in new ones."""
    start, end = 0, len(one.problems)
    while start < end:
        later = [begin for begin in done if begin > start]
        stop = done.get(start) or min(start + one.at_a_time, end, *later)
        yield range(start, stop)
        start = stop
