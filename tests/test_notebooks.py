"""The notebooks run from top to bottom, and are kept without output."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from running import ROOT, copy_of_the_project, snakemake

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK = "config/experiments/quick.yaml"


def run(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Every cell, one after the other."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [out for cell in notebook.cells for out in cell.get("outputs", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(path):
    notebook = nbformat.read(path, as_version=4)
    assert not outputs(notebook)
    assert all(cell.get("execution_count") is None for cell in notebook.cells)
    assert notebook.cells[0].cell_type == "markdown"


@pytest.mark.slow
def test_a_run_is_explored(tmp_path, monkeypatch):
    project = copy_of_the_project(tmp_path / "project")
    tiny = ["--configfile", QUICK, "--config", "run={tasks: [carry], methods: [self_refine]}"]
    snakemake(project, *tiny, "--", "results/quick/tables")
    shutil.copytree(ROOT / "notebooks", project / "notebooks", dirs_exist_ok=True)
    monkeypatch.setenv("SELFCORRECT_RESULTS", str(project / "results/quick"))
    shown = outputs(run(project / "notebooks/explore.ipynb", project / "notebooks"))
    assert any("image/png" in out.get("data", {}) for out in shown)
    assert any("undecided" in str(out.get("data", {})) for out in shown)


@pytest.mark.slow
def test_training_in_the_small_moves_second_attempts(monkeypatch):
    monkeypatch.setenv("PRETRAINING", "100")
    monkeypatch.setenv("STEPS", "4")
    shown = outputs(run(ROOT / "notebooks/train_in_the_small.ipynb", ROOT / "notebooks"))
    assert any("image/png" in out.get("data", {}) for out in shown)
    texts = [out.get("data", {}).get("text/plain", "") for out in shown]
    assert any("after Stage I" in text for text in texts)
    (steps,) = [text for text in texts if "kl_t2" in text]
    header, _, first, last = steps.splitlines()
    names = header.split()
    start, end = (
        dict(zip(names, map(float, row.split()[1:]), strict=True)) for row in (first, last)
    )
    assert start["kl_t1"] == start["kl_t2"] == 0, "the policy starts as the base"
    assert end["kl_t2"] > 0.001
