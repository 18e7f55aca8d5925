"""The real benchmarks' files, where this machine has them."""

import os
from pathlib import Path

import pytest


def data(name: str) -> Path:
    """A file of the benchmarks' folder; skips the test where there is none."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("SELFCORRECT_DATA", folder)) / name
    if not path.exists():
        pytest.skip(f"{path} is not there: set SELFCORRECT_DATA to a folder with {name}")
    return path
