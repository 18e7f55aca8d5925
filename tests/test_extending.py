"""The examples of docs/extending.md work as they stand there."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from analysis.synthetic import attempt_rows, make_job
from selfcorrect import config, prompts
from selfcorrect.analysis.evidence import read_evidence
from selfcorrect.analysis.figures.drawing import Drawing
from selfcorrect.plan import Plan
from selfcorrect.records import Attempt, Problem, Submission, Trace
from selfcorrect.tasks import grade_traces

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/extending.md").read_text()
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def example(name: str) -> dict:
    """What the example defines that defines ``name``."""
    (block,) = (
        block for block in blocks("python") if re.search(rf"^(class|def) {name}\b", block, re.M)
    )
    space: dict = {}
    exec(block, space)
    return space


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_config_example_is_a_valid_overlay_that_adds_nodes(block):
    overlay = yaml.safe_load(block)
    plan = Plan(config.load(config.merged(DEFAULT, overlay)))
    before = Plan(config.load(DEFAULT)).nodes["carry"].keys()
    assert plan.nodes["carry"].keys() - before == overlay["methods"].keys()
    for sweep in overlay.get("sweeps", {}).values():
        assert sweep["methods"].keys() <= set(plan.methods())


def test_the_weak_bonus_shares_stage_one():
    plan = Plan(config.load(config.merged(DEFAULT, yaml.safe_load(blocks("yaml")[0]))))
    node = plan.nodes["carry"]["score_weak_bonus"]
    assert node.parent == "stage1"
    assert node.settings.alpha == 1.0
    assert node.settings.steps == plan.nodes["carry"]["score"].settings.steps


def test_the_task_example_grades_its_problems():
    task = example("Doubling")["Doubling"]()
    of_splits = [task.problems(split) for split in ("train", "validation", "test")]
    ids = [problem.id for problems in of_splits for problem in problems]
    assert len(set(ids)) == len(ids) == 90
    problem = of_splits[2][0]
    submissions = [Submission(problem, "160"), Submission(problem, "161"), Submission(problem, "?")]
    assert [grade.verdict.value for grade in task.grade(submissions)] == [
        "right", "wrong", "unparsed"
    ]  # fmt: skip
    assert [trace_grades[0].reward for trace_grades in grade_traces(task, [trace(problem)])] == [1]


def trace(problem: Problem) -> Trace:
    """One right attempt."""
    return Trace(problem, 0, [Attempt([1], [2], [0.0], problem.answer, False)])


def test_the_engine_example_serves_a_rollout():
    from selfcorrect.lm.chat import Chat
    from selfcorrect.lm.tokenizer import word_level_tokenizer
    from selfcorrect.rollout import rollout

    space = example("Parrot")
    tokenizer = word_level_tokenizer(["What is 1+2?", prompts.CARRY.correction, "3"])
    chat = Chat(tokenizer)
    answer = [*tokenizer("3", add_special_tokens=False)["input_ids"], chat.eos]

    class Task:
        prompts = prompts.CARRY

    traces = rollout(
        space["Parrot"](answer), chat, Task(), [Problem("p", "1+2", "3", "1")],
        instruction=prompts.CARRY.correction, turns=2, samples=3, max_new_tokens=4,
        temperature=1.0, seeds=[0],
    )  # fmt: skip
    assert [[attempt.text for attempt in trace.attempts] for trace in traces] == [["3", "3"]] * 3
    assert not any(attempt.truncated for trace in traces for attempt in trace.attempts)


def test_the_figure_example_is_drawn(tmp_path):
    space = example("drawings")
    path = tmp_path / "results/carry/base/seed0/grades.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame(attempt_rows(["rw", "rr"])).to_parquet(path)
    (drawing,) = space["drawings"](read_evidence(make_job(), [path]))
    assert isinstance(drawing, Drawing)
    (legend,) = drawing.figure.axes[0].get_legend().get_texts()
    assert legend.get_text() == "carry/base/seed0"


def test_paths_named_in_the_page_exist():
    package = ROOT / "workflow/selfcorrect"
    for name in re.findall(r"`([\w/]+\.py)`", TEXT):
        assert (ROOT / name).is_file() or (package / name).is_file(), name
