"""The tables: numbers, layout, and what is said about what is missing."""

import json
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic import make_job

from selfcorrect.analysis import figures, tables
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures.style import style
from selfcorrect.analysis.render import escape, latex, markdown, number
from selfcorrect.analysis.results import read_all_grades
from selfcorrect.analysis.summary import Report, holm_against, summarise
from selfcorrect.analysis.tables import attempts, comparison, pass_at_k

BASE = ["rr"] * 5 + ["rw"] * 3 + ["ww"] * 11 + ["tw"]
RL = ["rr"] * 12 + ["rw"] * 2 + ["ww"] * 6
SCORE = ["rrrr"] * 12 + ["wrrr"] * 4 + ["wwwr"] * 2 + ["wwwt"] * 2


@pytest.fixture
def report(write_grades, job):
    """Grades of all methods but one."""
    paths = [
        write_grades("base", BASE, sampled=["rr", "rw"] * 20, samples=2),
        write_grades("single_turn_rl", RL),
        write_grades("score", SCORE),
    ]
    return summarise(read_all_grades(paths), job)


def row(frame: pd.DataFrame, method: str, decoding: str = "greedy") -> pd.Series:
    found = frame[(frame["method"] == method) & (frame["decoding"] == decoding)]
    assert len(found) == 1
    return found.iloc[0]


def test_the_csv_holds_every_number(report, tmp_path):
    tables.write(tables.tables(Evidence(report, {})), tmp_path / "tables")
    main = pd.read_csv(tmp_path / "tables" / "main.csv")
    base = row(main, "base")
    shown = base[["t1", "t2", "delta", "i_to_c", "c_to_i", "same", "truncated", "n"]].tolist()
    assert shown == [40, 25, -15, 0, 15, 80, 5, 20]
    assert base[["paper_t1", "paper_t2", "paper_delta", "paper_c_to_i"]].tolist() == [
        52.6, 41.4, -11.2, 15.8,
    ]  # fmt: skip
    assert pd.isna(base["t2_vs_base"]) and pd.isna(base["t2_vs_base_p"])
    score = row(main, "score")
    assert score["t2_vs_base"] == pytest.approx(55)
    assert score["t2_vs_base_p"] == pytest.approx(2 / 2**11)
    assert json.loads(score["t2_per_seed"]) == [80]
    assert score["truncated_attempts"] == 2
    sampled = row(main, "base", "sampled")
    assert sampled[["t1", "t2", "samples"]].tolist() == [100, 50, 2]
    assert sampled["paper_t1":].isna().all()


def test_paper_numbers_are_those_of_the_tables_own_source(report):
    main, _, ablations = (comparison.numbers(report, of) for of in comparison.METHOD_TABLES)
    assert pd.isna(row(main, "single_turn_rl")["paper_t1"])
    assert row(ablations, "single_turn_rl")["paper_t1"] == 61.8


def test_markdown_shows_intervals_signs_and_the_best_second_attempt(report, tmp_path):
    tables.write(tables.tables(Evidence(report, {})), tmp_path / "tables")
    text = (tmp_path / "tables" / "main.md").read_text()
    lines = text.splitlines()
    assert lines[0].startswith("**") and "20 problems, seed 0" in lines[0]
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 3
    assert len({line.count("|") for line in table}) == 1
    assert "| 25.0 [11.2, 46.9] | −15.0 [" in table[2]
    assert "**80.0** [" in table[4] and "+20.0 [" in table[4]
    assert text.count("**80.0**") == 1
    assert "Multi-turn RL, r(y1) + r(y2) (carry, seed 0)" in text
    assert "Multi-turn" not in (tmp_path / "tables" / "ablations.md").read_text()


def test_latex_is_ascii_and_square(report, tmp_path):
    tables.write(tables.tables(Evidence(report, {})), tmp_path / "tables")
    for name in ("main", "ablations", "attempts", "pass_at_k", "claims"):
        text = (tmp_path / "tables" / f"{name}.tex").read_text()
        assert text.isascii()
        assert text.count(r"\begin{") == text.count(r"\end{")
        columns = len(re.search(r"\\begin{tabular}{(?:p{[^}]+}|l)(c+)}", text)[1]) + 1
        body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
        for line in body.splitlines():
            if r"\\" in line:
                spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn{(\d+)}", line))
                assert line.count(" & ") + 1 + spanned == columns, line
    assert r"SCoRe, $\beta$ \& $\gamma$" in (tmp_path / "tables" / "ablations.tex").read_text()


def test_every_label_of_the_default_config_can_be_set_in_latex(repository):
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    for method in config["methods"].values():
        if "label" in method:
            assert escape(method["label"]).isascii()


def test_escaping():
    assert escape("50% & a_b {x} Δ ≥ −1 ~^\\#$") == (
        r"50\% \& a\_b \{x\} $\Delta$ $\geq$ $-$1 \textasciitilde{}\textasciicircum{}"
        r"\textbackslash{}\#\$"
    )


def test_attempts_show_only_methods_with_more_than_two(report):
    table = attempts.numbers(report)
    assert table["method"].tolist() == ["score"]
    found = row(table, "score")
    assert found[["t1", "t2", "t3", "t4", "later"]].tolist() == [60, 80, 80, 90, 10]
    text = markdown(attempts.table(report))
    assert "| 60.0 [" in text and "+10.0 [" in text and "2 in this table" in text


def test_attempts_without_such_methods_say_so(report):
    two = replace(report, summaries=tuple(of for of in report.summaries if of.later is None))
    assert "No method was given more" in markdown(attempts.table(two))
    assert attempts.numbers(two).empty


def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_attempt(write_grades, job):
    traces = ["rw", "ww", "wr", *["ww"] * 3, *["rr"] * 6]  # 2 problems with 6 samples each
    report = summarise(read_all_grades([write_grades("base", ["rr"] * 2, traces, 6)]), job)
    table = pass_at_k.numbers(report).set_index("k")
    assert table.index.tolist() == [1, 2, 4, 6]
    for k, row in table.iterrows():
        draws = list(combinations([True, *[False] * 5], k))
        one_of_six = np.mean([any(draw) for draw in draws])
        assert row[["t1", "t2"]].tolist() == pytest.approx([100 * (one_of_six + 1) / 2] * 2)
        assert row["t1_low"] < row["t1"] <= row["t1_high"]
    text = markdown(pass_at_k.table(report))
    assert "| Method | t1 pass@1 | t1 pass@2 | t1 pass@4 | t1 pass@6 | t2 pass@1 |" in text
    assert "| Base | 58.3 [" in text and "T = 0.7" in text


def test_seeds_with_fewer_samples_are_compared_at_the_ks_they_share(write_grades):
    job = make_job(seeds=(0, 1))
    paths = [
        write_grades("base", BASE, ["rr"] * 20 * samples, samples, seed=seed)
        for seed, samples in ((0, 4), (1, 2))
    ]
    (found,) = summarise(read_all_grades(paths), job).sampled()
    assert list(found.pass_at) == [1, 2]


def test_without_samples_pass_at_k_says_so(write_grades, job):
    report = summarise(read_all_grades([write_grades("base", BASE)]), job)
    assert "evaluation.samples" in markdown(pass_at_k.table(report))
    assert pass_at_k.numbers(report).empty


def test_truncated_attempts_are_told_in_every_table(report):
    for of in (comparison.METHOD_TABLES[0], comparison.METHOD_TABLES[2]):
        text = markdown(comparison.table(report, of))
        assert "3 in this table" in text


CODE = comparison.METHOD_TABLES[1]


@pytest.fixture
def programs(write_grades) -> Report:
    """Two tasks, the second one's answers programs, with repairs of another writer's."""
    grader = "programs/1 (UNSAFE: limits; without landlock (left out))"
    job = make_job(tasks=("carry", "precedence"), programming=("precedence",))
    ended = ["rw", "ww", "fw", "wm", *["rr"] * 6]  # a timeout, then out of memory
    paths = [
        write_grades("base", BASE, task="carry"),
        write_grades(
            "base", ended, task="precedence", repairs=["wr", "ww", "ww", "wr"], grader=grader
        ),
    ]
    return summarise(read_all_grades(paths), job)


def test_tasks_of_programs_have_a_table_of_their_own(programs, tmp_path):
    tables.write(tables.tables(Evidence(programs, {})), tmp_path / "tables")
    code, main = (pd.read_csv(tmp_path / "tables" / f"{name}.csv") for name in ("code", "main"))
    assert code["task"].tolist() == ["precedence"]
    assert main["task"].tolist() == ["carry"]
    assert row(code, "base")[["repair", "paper_mbpp_r", "paper_t1"]].tolist() == [50, 47.3, 53.7]
    assert "repair" not in main


def test_how_programs_ended_and_were_run_is_told(programs):
    text = markdown(comparison.table(programs, CODE))
    assert "| Method | repair | Acc@t1 |" in text
    assert "| Base | 50.0 [15.0, 85.0] |" in text
    assert "timeout 1, out of memory 1, output limit 0, forbidden 0, error 0" in text
    assert "UNSAFE: limits; without landlock" in text


def test_an_unsafe_run_is_told_in_every_table_and_figure(programs, report):
    warning = "Programs were executed without a safe sandbox: programs/1 (UNSAFE: limits"
    for table, _ in tables.tables(Evidence(programs, {})):
        assert warning in markdown(table), table.name
    with style():
        for drawing in figures.drawings(Evidence(programs, {})):
            assert warning in drawing.caption, drawing.name
    assert not report.unsafe_in_words()


def test_without_programs_there_is_no_code_table(report, tmp_path):
    tables.write(tables.tables(Evidence(report, {})), tmp_path / "tables")
    assert not (tmp_path / "tables" / "code.md").exists()


def test_several_tasks_are_grouped_and_several_seeds_averaged(write_grades):
    job = make_job(tasks=("carry", "precedence"), seeds=(0, 1, 3))
    paths = [
        write_grades("base", traces, task=task, seed=seed)
        for task in job.tasks
        for seed, traces in ((0, BASE), (1, BASE), (3, RL))
    ]
    paths.append(write_grades("score", [trace[:2] for trace in SCORE], task="carry", seed=3))
    report = summarise(read_all_grades(paths), job)
    table = comparison.numbers(report, comparison.METHOD_TABLES[0])
    base = row(table[table["task"] == "carry"], "base")
    assert base["t1"] == pytest.approx((40 + 40 + 70) / 3)
    assert json.loads(base["t1_per_seed"]) == [40, 40, 70]
    assert json.loads(base["seeds"]) == [0, 1, 3]
    score = row(table, "score")
    assert json.loads(score["seeds"]) == [3]
    assert score["t2_vs_base"] == pytest.approx(80 - 60)  # against the same seed's base
    text = markdown(comparison.table(report, comparison.METHOD_TABLES[0]))
    assert "| *carry* |" in text and "| *precedence* |" in text
    assert "| 0–1, 3 |" in text
    assert "SCoRe, β & γ (carry, seed 0)" in text
    assert r"\textit{precedence}" in latex(comparison.table(report, comparison.METHOD_TABLES[0]))


def test_a_comparison_keeps_the_order_of_seeds(write_grades):
    """The base lacks the seed between two others."""
    job = make_job(seeds=(0, 1, 3))
    paths = [write_grades("single_turn_rl", RL, seed=seed) for seed in job.seeds]
    paths += [write_grades("base", BASE, seed=seed) for seed in (0, 3)]
    report = summarise(read_all_grades(paths), job)
    made = row(comparison.numbers(report, comparison.METHOD_TABLES[0]), "single_turn_rl")
    per_seed = json.loads(made["t2_vs_base_per_seed"])
    assert per_seed[1] is None and per_seed[0] == per_seed[2] == made["t2_vs_base"]
    assert json.loads(made["t2_vs_base_p_per_seed"])[1] is None
    assert "(2 of 3 seeds)" in markdown(comparison.table(report, comparison.METHOD_TABLES[0]))


def test_a_family_has_its_size_before_all_of_it_is_there(write_grades, job):
    shown = summarise(
        read_all_grades([write_grades("base", BASE), write_grades("score", SCORE)]), job
    ).summaries
    greedy = [of for of in shown if of.decoding == "greedy"]
    alone = holm_against(greedy, "base", ["base", "score"])["carry", "score"]
    of_three = holm_against(greedy, "base", ["base", "score", "one", "other"])
    assert of_three == {("carry", "score"): pytest.approx(min(3 * alone, 1))}


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(-11.24, False, "−11.2"), (4.4, True, "+4.4"), (-0.04, True, "0.0"), (None, True, "–")],
)
def test_numbers(value, signed, text):
    assert number(value, signed) == text
