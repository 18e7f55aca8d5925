"""Long sampling in parts: each part is kept as it is done, and not sampled again after a stop."""

from collections.abc import Callable, Iterator, Sequence
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
            (one, *part) for one in passes for part in _parts(one, work / f"{key}-{one.decoding}")
        ]
        progress = Progress(path.stem, len(parts))
        for one, numbers, file in parts:
            if not file.is_file():
                traces = one.sample(one.problems[numbers.start : numbers.stop])
                write_traces(file, {one.decoding: traces})
            progress.advance()
        progress.close()
        write_table(path, pa.concat_tables([read_table(file) for *_, file in parts]))
    files.remove(work)


def _parts(one: Pass, folder: Path) -> Iterator[tuple[range, Path]]:
    """Numbers of problems, each part with its file: as they are there, of whatever size, and what
    lies between in new ones."""
    names = (file.stem.split("-") for file in folder.glob("*.parquet"))
    done = {int(begin): int(stop) for begin, stop in names}
    start, end = 0, len(one.problems)
    while start < end:
        if start in done:
            stop = done[start]
        else:
            stop = min(start + one.at_a_time, end, *(begin for begin in done if begin > start))
        yield range(start, stop), folder / f"{start:07d}-{stop:07d}.parquet"
        start = stop
