"""The steps ``tabulate`` and ``plot`` from files to files."""

import json
import subprocess
import sys

import pytest

from selfcorrect.files import FileProblem
from selfcorrect.steps import plot, tabulate

TRACES = ["rr"] * 5 + ["rw"] * 3 + ["wr"] * 5 + ["ww"] * 7


def test_tabulate_replaces_its_folder(write_grades, job, tmp_path):
    grades = [str(write_grades(node, TRACES)) for node in ("base", "score")]
    output = tmp_path / "tables"
    output.mkdir()
    (output / "old.csv").write_text("")
    tabulate.main(["--spec", job.model_dump_json(), "--grades", *grades, "--output", str(output)])
    assert sorted(path.name for path in output.iterdir()) == [
        f"{name}.{kind}"
        for name in ("ablations", "attempts", "claims", "main", "pass_at_k")
        for kind in ("csv", "md", "tex")
    ]


def test_a_damaged_file_leaves_the_old_tables(write_grades, job, tmp_path):
    grades = write_grades("base", TRACES)
    grades.write_bytes(grades.read_bytes()[:100])
    output = tmp_path / "tables"
    output.mkdir()
    (output / "main.csv").write_text("old")
    with pytest.raises(FileProblem, match=str(grades)):
        tabulate.main(
            ["--spec", job.model_dump_json(), "--grades", str(grades), "--output", str(output)]
        )
    assert (output / "main.csv").read_text() == "old"


def test_plot_draws_chains(write_grades, write_log, job, tmp_path):
    grades = str(write_grades("base", TRACES))
    logs = [str(write_log(node, [(0.5, 0.6)] * 5)) for node in ("stage1", "score")]
    output = tmp_path / "figures"
    plot.main(
        ["--spec", job.model_dump_json(), "--grades", grades, "--logs", *logs,
         "--output", str(output)]
    )  # fmt: skip
    index = json.loads((output / "index.json").read_text())
    assert "training" in {entry["name"] for entry in index}
    assert len(list(output.iterdir())) == 3 * len(index) + 1


@pytest.mark.parametrize("step", ["tabulate", "plot", "present"])
def test_help_loads_nothing_heavy(step):
    program = (
        "import sys\n"
        f"from selfcorrect.steps import {step}\n"
        f"try: {step}.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'numpy', 'scipy', 'matplotlib', 'pyarrow', 'torch'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]", run.stderr
