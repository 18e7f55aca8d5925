"""An ordinary checkpoint through the whole workflow: trained on MBPP, evaluated on HumanEval.

The checkpoint is a Qwen2 of random weights, a byte-level tokenizer and ChatML; the MBPP file has
the real one's shape and made-up problems; HumanEval is the package's own.
"""

import csv
import json
from pathlib import Path

import pytest
import yaml

from running import ROOT, copy_of_the_project, snakemake
from selfcorrect.tracefile import read_table
from tiny import save_checkpoint

pytestmark = pytest.mark.slow

LIMITS = {"cpu_seconds": 2, "wall_seconds": 30, "memory_mb": 128, "output_mb": 1,
          "allow_unsafe": False}  # fmt: skip


def mbpp_file(path: Path) -> None:
    """974 problems in the shape of the authors' file, Windows line ends included."""
    lines = [
        {
            "task_id": number,
            "text": f"Write a function to add {number} to a number.",
            "code": f"def add_{number}(x):\r\n  return x + {number}",
            "test_list": [f"assert add_{number}({x}) == {x + number}" for x in (0, 1, 5)],
            "test_setup_code": "",
            "challenge_test_list": [],
        }
        for number in range(1, 975)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def overlay(folder: Path) -> dict:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    task = config["tasks"]["precedence"]
    mbpp = {"kind": "mbpp", "rows": {"path": str(folder / "mbpp.jsonl")}, "sanitized": False,
            "sandbox": LIMITS}  # fmt: skip
    humaneval = {"kind": "humaneval", "path": None, "sha256": None, "sandbox": LIMITS}
    code = task | {
        "data": mbpp,
        "test": humaneval,
        "corpus": None,
        "model": task["model"] | {"path": str(folder / "checkpoint")},
        "generation": task["generation"] | {"max_new_tokens": 12, "batch_size": 16},
        "sampling": {"problems": 8, "samples_per_problem": 2, "temperature": 1.0},
        "rl": task["rl"] | {"steps": 4, "prompts_per_batch": 2, "samples_per_prompt": 2},
        "evaluation": task["evaluation"] | {
            "problems": 16, "samples": 2, "many_turns": 3,
            "repairs": {
                "problems": 7, "at": "trained", "file": str(folder / "given.jsonl"), "writer": None,
            },
        },
    }  # fmt: skip
    return {
        "results": "results/code",
        "run": {"tasks": ["code"], "methods": ["multi_turn_rl_sum", "stage1", "score"]},
        "tasks": {"code": code},
    }


def program(number: int, right: bool) -> str:
    return f"def add_{number}(x):\n  return x {'+' if right else '*'} {number}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    project = copy_of_the_project(folder / "project")
    mbpp_file(folder / "mbpp.jsonl")
    save_checkpoint(folder / "checkpoint")
    given = [{"problem": f"MBPP/{k}", "text": program(k, right=k % 5 == 0)} for k in range(11, 21)]
    (folder / "given.jsonl").write_text("".join(json.dumps(line) + "\n" for line in given))
    (folder / "code.yaml").write_text(yaml.safe_dump(overlay(folder)))
    snakemake(project, "--configfile", str(folder / "code.yaml"), "--", "results/code/tables")
    return project / "results/code"


def test_what_is_trained_on_mbpp_is_evaluated_on_humaneval_and_repairs_mbpp(finished):
    repaired = [k for k in range(11, 21) if k % 5][:7]
    for method in ("base", "multi_turn_rl_sum", "stage1", "score"):
        grades = read_table(finished / f"code/{method}/seed0/grades.parquet").to_pylist()
        by_decoding = {
            decoding: [row for row in grades if row["decoding"] == decoding]
            for decoding in ("greedy", "sampled", "repair")
        }
        asked = {f"HumanEval/{k}" for k in range(16)}
        assert {row["problem"] for row in by_decoding["greedy"]} == asked
        assert len(by_decoding["sampled"]) == 16 * 2 * 2
        firsts = [row for row in by_decoding["repair"] if row["turn"] == 1]
        assert [row["text"] for row in firsts] == [program(k, right=False) for k in repaired]
        assert [row["problem"] for row in firsts] == [f"MBPP/{k}" for k in repaired]
        assert {row["verdict"] for row in firsts} == {"wrong"}
        assert all(row["gold"].startswith("def add_") for row in by_decoding["repair"])
        assert all(row["grader"].startswith("programs/") for row in grades)
    log = (finished / "code/score/seed0/training.jsonl").read_text().splitlines()
    assert len(log) == 2  # half of the task's steps, like Stage I


def test_its_tables_are_the_papers_for_programs(finished):
    with (finished / "tables/code.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["decoding"] == "greedy"]
    assert [row["method"] for row in rows] == ["base", "multi_turn_rl_sum", "stage1", "score"]
    assert {row["n"] for row in rows} == {"16"}
    with (finished / "tables/pass_at_k.csv").open() as stream:
        assert {row["k"] for row in csv.DictReader(stream)} == {"1", "2"}
    shown = (finished / "tables/code.md").read_text()
    assert "repair: second attempts" in shown
