"""Looking at a run that is not finished."""

import pytest
import yaml

from selfcorrect.analysis.run import open_run
from selfcorrect.files import FileProblem
from selfcorrect.steps import preview
from selfcorrect.validation import ConfigError

TRACES = ["rr"] * 5 + ["rw"] * 3 + ["wr"] * 5 + ["ww"] * 7


@pytest.fixture
def overlay(tmp_path):
    path = tmp_path / "overlay.yaml"
    run = {"tasks": ["carry"], "methods": ["score", "single_turn_rl"], "seeds": [0, 1]}
    path.write_text(yaml.safe_dump({"run": run}))
    return path


def looked_at(tmp_path, overlay):
    preview.main(["--results", str(tmp_path / "results"), "--overlay", str(overlay),
                  "--output", str(tmp_path / "preview")])  # fmt: skip
    return tmp_path / "preview"


def test_what_is_finished_is_drawn_and_the_rest_is_named(write_grades, tmp_path, overlay, capsys):
    write_grades("base", TRACES)
    drawn = looked_at(tmp_path, overlay)
    assert "SCoRe (carry, seed 1)" in capsys.readouterr().out
    assert "Base" in (drawn / "tables/main.md").read_text()
    assert "1 of 2 seeds" in (drawn / "tables/claims.md").read_text()
    first = (drawn / "figures/bars_main.png").read_bytes()
    write_grades("score", TRACES[::-1])
    assert (looked_at(tmp_path, overlay) / "figures/bars_main.png").read_bytes() != first


@pytest.mark.parametrize("into", ["results", "."])
def test_a_preview_takes_the_place_of_nothing_else(write_grades, tmp_path, overlay, into):
    graded = write_grades("base", TRACES)
    with pytest.raises(FileProblem, match=r"holds .*Name another --output"):
        preview.main(["--results", str(tmp_path / "results"), "--overlay", str(overlay),
                      "--output", str(tmp_path / into)])  # fmt: skip
    assert graded.exists() and overlay.exists()


def test_a_run_of_another_version_says_what_to_name(write_grades, tmp_path, overlay):
    write_grades("base", TRACES)
    tables = tmp_path / "results/tables"
    tables.mkdir()
    (tables / "manifest.json").write_text('{"config": {"results": "results", "gone": 1}}')
    with pytest.raises(ConfigError, match=r"manifest\.json: the config of another version"):
        open_run(tmp_path / "results")
    assert open_run(tmp_path / "results", overlay).report.summaries


def test_a_run_of_which_nothing_is_there_is_named(tmp_path, overlay):
    with pytest.raises(FileProblem, match="results: nothing of such a run is graded yet"):
        looked_at(tmp_path, overlay)
