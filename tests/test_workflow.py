"""The workflow end to end on the `quick` overlay, and what a change makes run again.

One finished run in a copy of the project serves all tests here; what would be rerun is read off
dry runs.
"""

import csv
import json
import re
import shutil
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from running import ROOT, copy_of_the_project, snakemake
from selfcorrect import files
from selfcorrect.jobs import MEMORY
from selfcorrect.steps import front
from selfcorrect.tracefile import read_table

QUICK = "config/experiments/quick.yaml"
RESULTS = Path("results/quick")

pytestmark = pytest.mark.slow


class Job(NamedTuple):
    """A job that a run would do; '' where a rule has no such wildcard."""

    rule: str
    task: str = ""
    node: str = ""
    seed: str = ""


def jobs(project: Path, *arguments: str) -> list[Job]:
    """Every job that a run would do."""
    done = snakemake(project, "--dry-run", *arguments)
    found = []
    for block in re.split(r"\n(?=\[|Job stats)", done.stdout + done.stderr):
        if rule := re.search(r"^(?:local)?rule (\w+):", block, re.M):
            place = re.search(r"output: \S+?/(\w+)/([\w.]+)/seed(\d+)/", block)
            found.append(Job(rule[1], *(place.groups() if place else ())))
    return found


def planned(project: Path, *arguments: str) -> set[tuple[str, str]]:
    """The (rule, node) of every job that a run would do."""
    return {(job.rule, job.node) for job in jobs(project, *arguments)}


REPORT = {("tabulate", ""), ("manifest", ""), ("publish_tables", "")}


REPORTED = (f"{RESULTS}/tables", f"{RESULTS}/figures", f"{RESULTS}/report/index.html")


def overlay(project: Path, name: str, content: dict) -> list[str]:
    """Arguments for the quick run with one more overlay on top."""
    path = project / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return ["--configfile", QUICK, str(path), "--", f"{RESULTS}/tables"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A copy of the project in which the quick run is finished."""
    project = copy_of_the_project(tmp_path_factory.mktemp("run") / "project with a space")
    done = snakemake(project, "--verbose", "--configfile", QUICK, "--", *REPORTED)
    (project / "run.log").write_text(done.stdout + done.stderr)
    return project


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A fresh copy of the finished run that a test may change."""
    copy = tmp_path / "project"
    shutil.copytree(finished, copy, symlinks=True)
    return copy


def test_tables_and_figures_come_out(finished):
    tables = finished / RESULTS / "tables"
    for name in ("main", "ablations"):
        for suffix in ("csv", "md", "tex"):
            assert (tables / f"{name}.{suffix}").stat().st_size > 100
    with (tables / "main.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    greedy = {row["method"] for row in rows if row["decoding"] == "greedy"}
    assert {"base", "self_refine", "star_d_plus", "pair_sft_d_plus", "score"} <= greedy
    with (tables / "claims.csv").open() as stream:
        verdicts = {row["verdict"] for row in csv.DictReader(stream)}
    assert "not tested" in verdicts and len(verdicts) > 1


def test_every_figure_is_drawn_of_what_it_needs(finished):
    folder = finished / RESULTS / "figures"
    index = {entry["name"]: entry for entry in json.loads((folder / "index.json").read_text())}
    for name, entry in index.items():
        for suffix in ("pdf", "png", "txt"):
            assert (folder / f"{name}.{suffix}").stat().st_size > 50
        whole = name in {"voting", "attempts", "fine_tuning", "flow", "levels", "changes"}
        assert not (whole and "Missing" in entry["caption"])
    assert {"mistakes_carry", "mistakes_precedence", "edits_carry", "training"} <= index.keys()


def test_views_hold_what_figures_need(finished):
    place = finished / RESULTS / "carry"
    votes = read_table(place / "score/seed0/voting_grades.parquet").to_pydict()
    assert set(votes["decoding"]) == {"voting"} and set(votes["sample"]) == set(range(8))
    seen = read_table(place / "score/seed0/familiar_grades.parquet").to_pydict()
    held_out = read_table(place / "score/seed0/grades.parquet").to_pydict()
    assert set(seen["decoding"]) == {"familiar"}
    assert not set(seen["problem"]) & set(held_out["problem"])
    kept = read_table(place / "pair_sft_d_plus/seed0/snapshots_grades.parquet").to_pylist()
    decodings = {row["decoding"] for row in kept}
    assert {"own-0", "fixed-0"} < decodings and len(decodings) == 6
    firsts = {row["problem"]: row["text"] for row in
              read_table(place / "base/seed0/grades.parquet").to_pylist()
              if row["decoding"] == "greedy" and row["turn"] == 1}  # fmt: skip
    assert all(row["text"] == firsts[row["problem"]] for row in kept
               if row["turn"] == 1 and row["decoding"].startswith("fixed"))  # fmt: skip
    assert set(held_out["error"]) > {"none"}


def test_the_report_is_one_file_that_asks_for_nothing(finished, browser):
    from selenium.webdriver.support.ui import WebDriverWait

    path = finished / RESULTS / "report.html"
    snakemake(finished, "--configfile", QUICK, "--report", str(path), "--", *REPORTED)
    text = path.read_text()
    for category in ("Start here", "Tables", "Figures"):
        assert category in text
    front.main(["--report", str(path)])
    before = path.read_text()
    front.main(["--report", str(path)])
    assert path.read_text() == before
    for page in (path, finished / RESULTS / "report/index.html"):
        browser.get(page.as_uri())
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        asked = re.findall(r'\\?"url\\?":\\?"(\w+):', str(browser.get_log("performance")))
        assert "file" in asked and set(asked) <= {"file", "data", "blob", "about"}
    browser.set_window_size(1400, 900)  # on a narrow one the list is folded away
    browser.get(path.as_uri())
    wait = WebDriverWait(browser, 20)

    def page_opens() -> None:
        browser.switch_to.frame(wait.until(lambda b: b.find_elements("tag name", "iframe"))[0])
        wait.until(lambda b: b.find_elements("css selector", "#claims tbody tr"))
        assert browser.find_elements("css selector", ".trace")
        browser.switch_to.default_content()

    page_opens()  # by itself, and from the list
    for where in ("//*[text()='Start here']", "//*[text()='What came out']/../..//a"):
        wait.until(lambda b, at=where: b.find_elements("xpath", at))[0].click()
    page_opens()

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True,
    })  # fmt: skip
    browser.get(path.as_uri())
    page_opens()
    assert browser.execute_script(wide := "return document.documentElement.scrollWidth") <= 360
    assert browser.find_element("tag name", "iframe").rect["width"] > 300  # the list is folded
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    assert browser.execute_script(wide) <= 360
    before = [row.text for row in browser.find_elements("css selector", "#claims tbody tr")]
    browser.find_element("css selector", "#claims th:nth-child(2) button").click()
    after = [row.text for row in browser.find_elements("css selector", "#claims tbody tr")]
    assert after != before and sorted(after) == sorted(before)
    traces = browser.find_elements("css selector", ".trace")
    kind = traces[0].get_attribute("data-outcome")
    browser.find_element("css selector", f"button[data-outcome='{kind}']").click()
    assert [of.is_displayed() for of in traces] == [
        of.get_attribute("data-outcome") == kind for of in traces
    ]
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_two_runs_do_not_work_on_the_same_results(project):
    """The second one would delete what the first is reading."""
    tables = project / RESULTS / "tables"
    shutil.rmtree(tables)
    command = ("--configfile", QUICK, "--", str(tables.relative_to(project)))
    with files.locked(project / RESULTS):
        refused = snakemake(project, *command, check=False)
    assert refused.returncode != 0 and not tables.exists()
    assert "another run is at work here" in refused.stdout + refused.stderr
    snakemake(project, *command)
    assert tables.exists()


def test_programs_are_graded_by_execution_and_have_a_table(finished):
    with (finished / RESULTS / "tables/code.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["decoding"] == "greedy"]
    assert {row["task"] for row in rows} == {"precedence"}
    assert max(float(row["t1"]) for row in rows) > 0
    assert all(0 <= float(row["repair"]) <= 100 for row in rows)
    grades = read_table(finished / RESULTS / "precedence/score/seed0/grades.parquet").to_pydict()
    assert {"greedy", "sampled", "repair"} == set(grades["decoding"])
    assert all(grader.startswith("programs/") for grader in grades["grader"])
    decided = {"right", "wrong", "error"}
    assert decided & set(grades["verdict"])
    assert all(
        reason for reason, verdict in zip(grades["reason"], grades["verdict"], strict=True)
        if verdict in decided
    )  # fmt: skip
    assert (finished / RESULTS / "executions.sqlite").stat().st_size > 10_000


def test_another_models_wrong_programs_are_written_and_repaired(project):
    model = project / RESULTS / "precedence/base/seed0/model"
    writer = {"problems": 20, "writer": str(model)}
    tasks = {"precedence": {"evaluation": {"repairs": writer}}}
    arguments = overlay(project, "writer", {"run": {"tasks": ["precedence"]}, "tasks": tasks})[:-1]
    grades = RESULTS / "precedence/self_refine/seed0/grades.parquet"
    snakemake(project, *arguments, str(grades))
    given = [json.loads(line) for line in
             (project / RESULTS / "precedence/given.jsonl").read_text().splitlines()]  # fmt: skip
    rows = read_table(project / grades).to_pylist()
    repaired = [row for row in rows if row["decoding"] == "repair"]
    firsts = {row["problem"]: row for row in repaired if row["turn"] == 1}
    assert list(firsts) == [line["problem"] for line in given[:20]]
    assert [row["text"] for row in firsts.values()] == [line["text"] for line in given[:20]]
    assert all(row["verdict"] != "right" for row in firsts.values())
    tasks["precedence"]["evaluation"]["repairs"] = {"problems": 1, "writer": "./no/model"}
    done = snakemake(project, *overlay(project, "nobody", {"tasks": tasks}), check=False)
    assert "tasks.precedence.evaluation.repairs.writer: no such folder" in done.stdout + done.stderr


def test_the_manifest_says_what_each_result_depended_on(finished):
    manifest = json.loads((finished / RESULTS / "tables/manifest.json").read_text())
    assert manifest["config"]["results"] == str(RESULTS)
    record = manifest["results"]["carry/score/seed0/model/provenance.json"]
    assert record["spec"]["rl"]["alpha"] == 10
    assert {"started", "seconds", "commit", "packages", "device", "sha256"} <= record.keys()


def test_every_model_loads_offline_as_an_ordinary_checkpoint(finished, monkeypatch):
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folders = sorted((finished / RESULTS / "carry").glob("*/seed0/model"))
    assert len(folders) == 7  # base, two rounds of STaR, Pair-SFT, RL, Stage I, Stage II
    for folder in folders:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        assert model.config.vocab_size == len(tokenizer)
        assert tokenizer.chat_template


def test_jobs_are_looked_for_when_one_has_finished_and_not_all_the_time(finished):
    log = (finished / "run.log").read_text()
    jobs = int(re.findall(r"(\d+) of \1 steps", log)[-1])
    assert jobs > 30 and log.count("Ready jobs:") <= jobs


def test_a_second_call_has_nothing_to_do(finished):
    assert planned(finished, "--configfile", QUICK, "--", f"{RESULTS}/tables") == set()


def test_editing_a_method_reruns_it_and_its_followers_alone(finished):
    rerun = planned(
        finished, *overlay(finished, "a", {"methods": {"score": {"rl": {"alpha": 5.0}}}})
    )
    mine = {("reinforce", "score"), ("generate", "score"), ("grade", "score")}
    assert rerun == mine | REPORT

    stage1 = planned(
        finished, *overlay(finished, "b", {"methods": {"stage1": {"rl": {"beta2": 0.5}}}})
    )
    theirs = {(rule, "stage1") for rule in ("reinforce", "generate", "grade")}
    assert stage1 == mine | theirs | REPORT


def test_adding_a_method_trains_only_it(finished):
    method = {"variant_of": "score", "label": "weak bonus", "rl": {"alpha": 1.0}}
    methods = yaml.safe_load((ROOT / QUICK).read_text())["run"]["methods"]
    content = {"methods": {"weak": method}, "run": {"methods": [*methods, "weak"]}}
    rerun = planned(finished, *overlay(finished, "c", content))
    assert rerun == {(rule, "weak") for rule in ("reinforce", "generate", "grade")} | REPORT


def test_changing_only_what_is_shown_trains_nothing(finished):
    content = {"methods": {"score": {"label": "SCoRe (ours)"}}}
    assert planned(finished, *overlay(finished, "d", content)) == REPORT


def test_a_shared_prefix_is_trained_once(finished):
    """Of all models of the default config, one base a task and one Stage I."""
    done = jobs(finished, "results/tables")
    for task in ("carry", "precedence"):
        for shared in (("pretrain", "base"), ("reinforce", "stage1"), ("sample", "base")):
            assert sum((job.rule, job.node) == shared and job.task == task for job in done) == 1
    assert len(set(done)) == len(done)


@pytest.mark.parametrize("compute", [
    {"processes": 2}, {"processes": 2, "sharded": True}, {"device": "cuda"},
    {"memory_mb": 4000}, {"sandbox_workers": 2},
])  # fmt: skip
def test_what_is_done_stays_done_on_another_machine(finished, compute):
    assert planned(finished, *overlay(finished, "machine", {"compute": compute})) <= REPORT


def test_what_is_done_stays_done_with_other_settings_of_memory(finished):
    """So does what was made before a job ran out of it."""
    changed = {
        "generation": {"batch_size": 100, "cache_mb": 100},
        "model": {"gradient_checkpointing": True, "reference": "cpu"},
        "rl": {"prompts_per_micro_batch": 2},
        "sft": {"traces_per_micro_batch": 2},
    }
    keys = {key for section in changed.values() for key in section}
    assert keys == set().union(*MEMORY.values())
    both = {"tasks": {"carry": changed, "precedence": changed}}
    assert planned(finished, *overlay(finished, "less", both)) <= REPORT


def test_a_checkpoint_from_elsewhere_goes_through_the_same_rules(finished):
    path = finished / RESULTS / "carry/base/seed0/model"
    content = {
        "results": "results/other",
        "run": {"tasks": ["carry"]},
        "tasks": {"carry": {"model": {"path": str(path)}}},
    }
    arguments = overlay(finished, "other", content)[:-1]
    assert not {job for job in planned(finished, *arguments, "results/other/tables")
                if job[0] == "pretrain"}  # fmt: skip
    grades = "carry/base/seed0/grades.parquet"
    snakemake(finished, *arguments, f"results/other/{grades}")
    verdicts = [
        read_table(finished / results / grades, ["problem", "turn", "verdict"])
        for results in (RESULTS, Path("results/other"))
    ]
    assert verdicts[0].equals(verdicts[1])


@pytest.mark.parametrize(
    ("module", "reruns", "spares"),
    [
        ("learning/policy_gradient.py", {"reinforce"}, {"pretrain", "sample", "finetune"}),
        ("grading/digits.py", {"grade", "select", "reinforce"}, set()),
        ("analysis/tables/common.py", {"tabulate"}, {"pretrain", "sample", "reinforce", "grade"}),
        ("learning/sft.py", {"finetune"}, {"pretrain"}),
    ],
)
def test_editing_a_module_reruns_the_rules_that_use_it(project, module, reruns, spares):
    path = project / "workflow/selfcorrect" / module
    path.write_text(path.read_text() + "\n# edited\n")
    rules = {rule for rule, _ in planned(project, "--configfile", QUICK, "--", f"{RESULTS}/tables")}
    assert reruns <= rules
    assert not spares & rules


def test_a_damaged_result_is_named(project):
    attempts = project / RESULTS / "carry/score/seed0/attempts.parquet"
    attempts.write_bytes(attempts.read_bytes()[:-100])
    (project / RESULTS / "carry/score/seed0/grades.parquet").unlink()
    done = snakemake(project, "--configfile", QUICK, "--", f"{RESULTS}/tables", check=False)
    assert done.returncode != 0
    log = (project / RESULTS / "logs/carry/score/seed0/grade.log").read_text()
    assert "attempts.parquet" in log
    assert "damaged" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tasks": {"carry": {"rl": {"alpa": 1}}}}, "tasks.carry.rl.alpa: unknown key"),
        ({"tasks": {"carry": {"rl": {"alpha": -1.0}}}}, "tasks.carry.rl.alpha"),
        ({"methods": {"score": {"start": "score"}}}, "score starts from itself"),
        ({"tasks": {"carry": {"model": {"path": "./models/none"}}}}, "tasks.carry.model.path"),
        ({"results": "Snakefile"}, "Snakefile"),
    ],
)
def test_a_config_that_cannot_run_is_refused_before_any_job(finished, config, message):
    done = snakemake(finished, *overlay(finished, "bad", config), check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert message in said
    assert "rule pretrain" not in said
    assert (finished / RESULTS / "tables/main.md").is_file()


def test_a_config_changed_during_a_run_waits_for_the_next(project):
    """A run goes by the config it started with; the next one refuses or takes the change."""
    arguments = overlay(project, "edited", {"tasks": {"carry": {"sft": {"epochs": 2}}}})
    edited = project / "edited.yaml"
    started = edited.read_text()
    begun = project / RESULTS / "logs/carry/pair_sft_d_plus/seed0/finetune.log"
    begun.unlink()
    running = threading.Thread(target=snakemake, args=(project, *arguments))
    running.start()
    while running.is_alive() and not begun.exists():
        time.sleep(0.05)
    edited.write_text(yaml.safe_dump({"tasks": {"carry": {"sft": {"epoch": 1}}}}))
    running.join()

    manifest = json.loads((project / RESULTS / "tables/manifest.json").read_text())
    assert manifest["config"]["tasks"]["carry"]["sft"]["epochs"] == 2
    refused = snakemake(project, *arguments, check=False)
    assert "tasks.carry.sft.epoch: unknown key; did you mean `epochs`?" in refused.stderr
    edited.write_text(started)
    assert planned(project, *arguments) == set()


def test_the_same_seed_gives_the_same_grades(finished, tmp_path):
    """A second run from nothing, elsewhere, with another number of jobs at a time."""
    project = tmp_path / "again"
    ignored = shutil.ignore_patterns("results", ".snakemake")
    shutil.copytree(finished, project, ignore=ignored)
    methods = ("carry/star_d_plus", "carry/score", "precedence/score")
    grades = [str(RESULTS / method / "seed0/grades.parquet") for method in methods]
    snakemake(project, "--cores", "1", "--configfile", QUICK, "--", *grades)
    for path in grades:
        assert read_table(project / path).equals(read_table(finished / path))


def test_an_rl_job_is_shared_by_two_processes(project):
    content = {"compute": {"processes": 2}, "methods": {"score": {"rl": {"alpha": 5.0}}}}
    model = RESULTS / "carry/score/seed0/model"
    snakemake(project, *overlay(project, "team", content)[:-1], str(model))
    assert json.loads((project / model / "provenance.json").read_text())["processes"] == 2
