"""Traces as Parquet files: one row an attempt, so that no later step needs the model again.

Columns: problem (id), decoding (how attempts came about: `jobs.Decode`, `steps.track`), sample,
turn (from 1), prompt and tokens (token ids), logprobs, text, truncated, given. Grading adds columns
of its own (``grades``).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcorrect import files
from selfcorrect.records import Attempt, Problem, Trace

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a Parquet file, whole or not at all."""
    import pyarrow.parquet as pq

    with files.replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, columns: Sequence[str] | None = None) -> "pa.Table":
    """Read a Parquet file, or some of its columns.

    Raises:
        FileProblem: it is missing, damaged, or lacks a column; the message names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except FileNotFoundError as error:
        raise files.FileProblem(f"{path}: no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise files.damaged(path, str(error).splitlines()[0]) from error


def write_traces(path: Path, parts: Mapping[str, Iterable[Trace]]) -> None:
    """Write traces, by how they were decoded."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = [
        {
            "problem": trace.problem.id,
            "decoding": decoding,
            "sample": trace.sample,
            "turn": turn,
            "prompt": attempt.prompt,
            "tokens": attempt.tokens,
            "logprobs": attempt.logprobs,
            "text": attempt.text,
            "truncated": attempt.truncated,
            "given": attempt.given,
        }
        for decoding, traces in parts.items()
        for trace in traces
        for turn, attempt in enumerate(trace.attempts, start=1)
    ]
    schema = pa.schema(
        [
            ("problem", pa.string()),
            ("decoding", pa.string()),
            ("sample", pa.int32()),
            ("turn", pa.int32()),
            ("prompt", pa.list_(pa.int32())),
            ("tokens", pa.list_(pa.int32())),
            ("logprobs", pa.list_(pa.float32())),
            ("text", pa.string()),
            ("truncated", pa.bool_()),
            ("given", pa.bool_()),
        ]
    )
    write_table(path, pa.Table.from_pylist(rows, schema=schema))


def read_traces(
    path: Path, problems: Mapping[str, Problem], decoding: str | None = None
) -> list[Trace]:
    """Read traces back, in the order written; of one decoding, or of all.

    Raises:
        FileProblem: the file is damaged, or speaks of a problem that is not in ``problems``.
    """
    traces: list[Trace] = []
    for row in read_table(path).to_pylist():
        if decoding not in (None, row["decoding"]):
            continue
        if row["problem"] not in problems:
            raise files.FileProblem(
                f"{path}: problem {row['problem']!r} is not in the task's data; "
                "delete the file and run again"
            )
        if row["turn"] == 1:
            traces.append(Trace(problems[row["problem"]], row["sample"]))
        traces[-1].attempts.append(
            Attempt(
                row["prompt"], row["tokens"], row["logprobs"], row["text"], row["truncated"],
                row["given"],
            )
        )  # fmt: skip
    return traces
