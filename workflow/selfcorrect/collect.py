"""Long sampling in parts: each part is kept as it is done, and not sampled again after a stop."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfcorrect import files
from selfcorrect.progress import Progress
from selfcorrect.records import Problem, Trace
from selfcorrect.tracefile import Decoding, read_table, write_table, write_traces

# How to decode, and a function (problems, part number) -> their traces.
Pass = tuple[Decoding, Callable[[Sequence[Problem], int], list[Trace]]]


def collect(
    path: Path,
    problems: Sequence[Problem],
    part_size: int,
    passes: Sequence[Pass],
    work: Path,
    identity: dict[str, Any],
) -> None:
    """Sample traces of all problems in parts and write them to one file.

    Args:
        path: the trace file to write.
        problems: in this order, ``part_size`` at a time.
        part_size: problems per part.
        passes: each samples all problems once.
        work: folder for finished parts; deleted in the end.
        identity: of the job; parts of another job are not used.
    """
    import pyarrow as pa

    with files.locked(work):
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        starts = range(0, len(problems), part_size)
        progress = Progress(path.stem, len(starts) * len(passes))
        parts = []
        for decoding, sample in passes:
            for number, start in enumerate(starts):
                part = work / f"{key}-{decoding}-{number:05d}.parquet"
                if not part.is_file():
                    traces = sample(problems[start : start + part_size], number)
                    write_traces(part, {decoding: traces})
                parts.append(part)
                progress.advance()
        progress.close()
        write_table(path, pa.concat_tables([read_table(part) for part in parts]))
    files.remove(work)
