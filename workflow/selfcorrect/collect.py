"""Long sampling in parts: each part is kept as it is done, and not sampled again after a stop."""

from collections.abc import Callable, Sequence
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
        starts = [range(0, len(one.problems), one.at_a_time) for one in passes]
        progress = Progress(path.stem, sum(map(len, starts)))
        parts = []
        for one, of_pass in zip(passes, starts, strict=True):
            for number, start in enumerate(of_pass):
                part = work / f"{key}-{one.decoding}-{number:05d}.parquet"
                if not part.is_file():
                    traces = one.sample(one.problems[start : start + one.at_a_time])
                    write_traces(part, {one.decoding: traces})
                parts.append(part)
                progress.advance()
        progress.close()
        write_table(path, pa.concat_tables([read_table(part) for part in parts]))
    files.remove(work)
