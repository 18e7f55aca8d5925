"""Files of made-up grades and training logs."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from synthetic import attempt_rows, make_job

from selfcorrect.reporting import ReportJob


@pytest.fixture
def write_grades(tmp_path: Path) -> Callable[..., Path]:
    """Write traces to ``results/<task>/<node>/seed<k>/grades.parquet``."""

    def write(node: str, greedy: Sequence[str], sampled: Sequence[str] = (), samples: int = 1,
              task: str = "carry", seed: int = 0, repairs: Sequence[str] = (),
              grader: str = "digits/1") -> Path:  # fmt: skip
        path = tmp_path / "results" / task / node / f"seed{seed}" / "grades.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = attempt_rows(greedy, grader=grader)
        rows += attempt_rows(sampled, "sampled", samples, grader)
        rows += attempt_rows(repairs, "repair", grader=grader)
        pd.DataFrame(rows).to_parquet(path)
        return path

    return write


@pytest.fixture
def write_log(tmp_path: Path) -> Callable[..., Path]:
    """Write a training log of rewards per step, as (t1,) or (t1, t2)."""

    def write(node: str, rewards: Sequence[tuple[float, ...]], task: str = "carry",
              seed: int = 0) -> Path:  # fmt: skip
        path = tmp_path / "results" / task / node / f"seed{seed}" / "training.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            {"step": step, **{f"reward_t{turn}": value for turn, value in enumerate(row, start=1)}}
            for step, row in enumerate(rewards, start=1)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


@pytest.fixture
def job() -> ReportJob:
    """Three methods on one task, one seed."""
    return make_job()
