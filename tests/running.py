"""Snakemake in a copy of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_of_the_project(folder: Path) -> Path:
    """The project without what was made in it; ``folder`` must not be there yet."""
    ignored = shutil.ignore_patterns(".git", ".venv*", "results", ".snakemake", "*.egg-info",
                                     "__pycache__", ".*_cache", ".hypothesis", "build")  # fmt: skip
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


def snakemake(project: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run Snakemake in a copy of the project, on the copy's own package."""
    environment = {**os.environ, "PYTHONPATH": str(project / "workflow"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=project, env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done
