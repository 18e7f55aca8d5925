"""The figures: whole, the same every time, readable, and open about what is missing."""

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from synthetic import attempt_rows, make_job

from selfcorrect import config
from selfcorrect.analysis import figures
from selfcorrect.analysis.claims import findings
from selfcorrect.analysis.evidence import Evidence, read_evidence
from selfcorrect.analysis.figures import bars, fine_tuning
from selfcorrect.analysis.figures import training as curves
from selfcorrect.analysis.figures.style import COLOURS, dashes, style
from selfcorrect.analysis.results import Place, read_all_grades, read_all_logs
from selfcorrect.analysis.summary import summarise
from selfcorrect.analysis.tables import tables
from selfcorrect.plan import Plan
from selfcorrect.spec import Sweep

REPOSITORY = Path(__file__).parents[2]
TRACES = ["rr"] * 5 + ["rw"] * 3 + ["wr"] * 5 + ["ww"] * 7
STEPS = [(0.4 + step / 200, 0.4 + step / 100) for step in range(40)]


@pytest.fixture
def grades(write_grades):
    nodes = ("base", "single_turn_rl", "score")
    return read_all_grades([write_grades(node, TRACES) for node in nodes])


@pytest.fixture
def report(grades, job):
    return summarise(grades, job)


@pytest.fixture
def logs(write_log):
    return read_all_logs(
        [
            write_log("single_turn_rl", [step[:1] for step in STEPS]),
            write_log("stage1", STEPS),
            write_log("score", STEPS),
        ]
    )


def texts(figure) -> list[str]:
    artists = [text for axes in figure.axes for text in [*axes.texts, axes.title]]
    return [" ".join(text.get_text().split()) for text in [*artists, *figure.texts]]


def test_all_files_are_written_and_the_same_twice(report, grades, logs, tmp_path):
    for name in ("one", "two"):
        figures.write(Evidence(report, grades, logs), tmp_path / name)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two"))
    stems = ("bars_main", "bars_ablations", "transitions_main", "transitions_ablations", "voting",
             "edits_carry", "fine_tuning", "training", "changes", "attempts", "flow", "levels",
             "mistakes_carry")  # fmt: skip
    files = {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "txt")}
    assert one.keys() == files | {"index.json"}
    assert one == two


def test_fonts_are_embedded_as_truetype(report, grades, logs, tmp_path):
    figures.write(Evidence(report, grades, logs), tmp_path / "figures")
    pdf = (tmp_path / "figures" / "bars_main.pdf").read_bytes()
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, flags=re.DOTALL)
    inside = pdf
    for stream in streams:
        try:
            inside += zlib.decompress(stream)
        except zlib.error:
            continue
    assert b"/FontFile2" in inside
    assert b"/Subtype /Type3" not in inside
    assert b"CreationDate" not in inside


def test_nothing_written_on_the_bars_overlaps(report):
    with style():
        figure = bars.bars(report, "main")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        axes = figure.axes[0]
        boxes = [
            text.get_window_extent(canvas.get_renderer())
            for text in [*axes.get_yticklabels(), *axes.texts, *figure.legends[0].get_texts()]
        ]
    assert len(boxes) == 4 + 5 + 2
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_bars_say_what_has_no_grades(report):
    shown = texts(bars.bars(report, "main"))
    assert shown.count("no grades") == 1
    assert any(text.startswith("+10.0 [") for text in shown)
    caption = bars.bars_caption(report, "main")
    assert "Multi-turn RL, r(y1) + r(y2) (carry, seed 0)" in caption
    assert "20 problems" in caption
    assert "Missing" not in bars.bars_caption(report, "ablations")


def test_bars_have_one_panel_a_task(write_grades):
    job = make_job(tasks=("carry", "precedence"))
    paths = [write_grades("base", TRACES, task=task) for task in job.tasks]
    figure = bars.bars(summarise(read_all_grades(paths), job), "main")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["carry", "precedence"]


def test_a_chain_goes_on_where_the_stage_before_ended(logs):
    runs, ends = curves.accuracies(logs, "carry", ("stage1", "score"), (0,), "t2")
    assert ends == [40, 80]
    assert runs.index.tolist() == list(range(1, 81))
    expected = [100 * step[1] for step in STEPS] * 2
    np.testing.assert_allclose(runs[0], expected)


def test_runs_of_one_turn_have_no_second(logs):
    runs, _ = curves.accuracies(logs, "carry", ("single_turn_rl",), (0,), "t2")
    assert runs.isna().to_numpy().all()


def test_a_stage_has_its_panel_where_it_is_gone_on_from(report):
    assert curves.panels_of(report) == [
        ("carry", ("single_turn_rl",)),
        ("carry", ("stage1", "score")),
    ]


def test_missing_logs_and_nan_are_told(report, logs, write_log):
    bad = read_all_logs([write_log("single_turn_rl", [(float("nan"),)] * 3 + [(0.5,)] * 7)])
    logs = {**logs, **bad}
    del logs[Place("carry", "score", 0)]
    panels = curves.panels_of(report)
    shown = texts(curves.draw(report, logs, panels))
    assert "3 of 10 steps are NaN" in shown
    assert "no training log (Stage II)" in shown
    caption = curves.caption(report, logs, panels)
    assert "Single-turn RL on carry, 3 of 10 steps are NaN" in caption
    assert "SCoRe, β & γ on carry, no training log (Stage II)" in caption


def test_an_empty_log_is_told(report, write_log):
    logs = read_all_logs([write_log("single_turn_rl", [])])
    panels = curves.panels_of(report)
    assert "no steps logged" in texts(curves.draw(report, logs, panels))


def test_no_log_at_all_is_told(report):
    assert "no training log" in texts(curves.draw(report, {}, []))
    assert "no training log was given" in curves.caption(report, {}, [])


# Machado et al. (2009): what a colour, in linear RGB, looks like without one kind of cone.
SEEN = {
    "by all": np.eye(3),
    "without red cones": np.array([[0.152286, 1.052583, -0.204868],
                                   [0.114503, 0.786281, 0.099216],
                                   [-0.003882, -0.048116, 1.051998]]),
    "without green cones": np.array([[0.367322, 0.860646, -0.227968],
                                     [0.280085, 0.672501, 0.047413],
                                     [-0.011820, 0.042940, 0.968881]]),
}  # fmt: skip


def linear(ink: str) -> np.ndarray:
    """Linear RGB of a colour."""
    rgb = np.array(to_rgb(ink))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(ink: str, seen: np.ndarray) -> np.ndarray:
    """CIELAB under D65."""
    looks = np.clip(seen @ linear(ink), 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722],
                       [0.0193, 0.1192, 0.9505]])  # fmt: skip
    xyz = to_xyz @ looks / (to_xyz @ np.ones(3))
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_lines_that_share_axes_can_be_told_apart(seen):
    """By colour, or by dashes in ``changes``; other figures of several methods have markers."""
    together = [name for name in COLOURS if name.startswith(("multi", "stage1", "score"))]
    alike = [
        (one, other)
        for one, other in combinations(together, 2)
        if np.linalg.norm(lab(COLOURS[one], seen) - lab(COLOURS[other], seen)) < 15
        and dashes(one) == dashes(other)
        and "score_star_stage2" not in (one, other)  # fine-tuned, so it has no training curve
    ]
    assert not alike


def test_every_line_is_seen_on_white():
    luminance = {name: linear(ink) @ [0.2126, 0.7152, 0.0722] for name, ink in COLOURS.items()}
    faint = {name for name, light in luminance.items() if 1.05 / (light + 0.05) < 2}
    assert not faint


def test_every_figure_names_what_is_not_there(write_grades):
    """Of three seeds and several methods, one seed of the base is finished."""
    job = make_job(seeds=(0, 1, 2)).model_copy(update={
        "shown": {"voting": {"carry": ("base", "score")}, "familiar": {"carry": ("score",)},
                  "snapshots": {"carry": ("single_turn_rl",)}, "attempts": {"carry": ("score",)}},
        "windows": {"carry": {"score": 1}},
    })  # fmt: skip
    evidence = read_evidence(job, [write_grades("base", TRACES)])
    drawn = {of.name: of.caption for of in figures.drawings(evidence)}
    assert all("Missing" in caption for caption in drawn.values())
    for name in ("levels", "edits_carry", "mistakes_carry"):
        assert "Base on carry, seeds 1, 2" in drawn[name], name
    assert "SCoRe, β & γ on carry." in drawn["voting"]


def test_seeds_with_fewer_attempts_are_drawn_as_far_as_all_go(write_grades):
    job = make_job(seeds=(0, 1)).model_copy(update={"windows": {"carry": {"score": 1}}})
    graded = [write_grades("score", ["rwr", "wrr", "wwr"], seed=0),
              write_grades("score", ["rwrr", "wrrr", "wwrr"], seed=1)]  # fmt: skip
    evidence = read_evidence(job, graded)
    drawn = {of.name: of.figure for of in figures.drawings(evidence)}
    (line,) = (line for line in drawn["attempts"].axes[0].lines if len(line.get_xdata()))
    assert list(line.get_xdata()) == [1, 2, 3]


def test_files_without_attempts_count_as_missing(write_grades, job):
    path = write_grades("base", TRACES)
    empty = write_grades("score", TRACES)
    pd.read_parquet(empty).iloc[:0].to_parquet(empty)
    evidence = read_evidence(job, [path, empty], voting=[empty], snapshots=[empty])
    assert [place.node for place in evidence.grades] == ["base"]
    assert not evidence.voting and not evidence.snapshots
    assert "SCoRe" in " ".join(evidence.report.missing_in_words())
    list(figures.drawings(evidence))


def test_every_method_has_a_colour_of_its_own():
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_methods_that_share_the_axes_of_many_attempts_have_colours():
    for overlay in [None, *sorted((REPOSITORY / "config/experiments").glob("*.yaml"))]:
        raw = config.default(REPOSITORY)
        raw = config.merged(raw, yaml.safe_load(overlay.read_text())) if overlay else raw
        shown = Plan(config.load(raw)).report().shown["attempts"]
        assert {name for of in shown.values() for name in of} <= set(COLOURS), overlay


def test_the_log_reads_numbers_as_the_trainer_writes_them(tmp_path):
    path = tmp_path / "results" / "carry" / "score" / "seed0" / "training.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"step": 1, "reward_t1": float("nan"), "reward_t2": 0.5}) + "\n")
    runs, _ = curves.accuracies(read_all_logs([path]), "carry", ("score",), (0,), "t2")
    assert runs[0].tolist() == [50]


# --- what is missing is said --------------------------------------------------------------------


def captions(evidence: Evidence) -> dict[str, str]:
    with style():
        return {drawing.name: drawing.caption for drawing in figures.drawings(evidence)}


def test_nothing_at_all_is_drawn_as_nothing(job):
    evidence = read_evidence(job, [])
    with style():
        drawn = {drawing.name: drawing.figure for drawing in figures.drawings(evidence)}
    assert "no grades" in texts(drawn["bars_main"])
    assert "no grades" in texts(drawn["transitions_main"])
    assert "no sampled traces that vote" in texts(drawn["voting"])
    assert "no models kept during fine-tuning" in texts(drawn["fine_tuning"])
    assert "no training log of two attempts" in texts(drawn["changes"])
    assert "no method was given more than two attempts" in texts(drawn["attempts"])
    assert "no grades" in texts(drawn["levels"])
    assert "no grades" in texts(drawn["edits_carry"])
    assert "no grades" in texts(drawn["mistakes_carry"])


def test_a_seed_that_is_not_there_yet_is_left_out(write_grades):
    job = make_job(seeds=(0, 1))
    there = [write_grades("base", TRACES, seed=seed) for seed in (0, 1)]
    there.append(write_grades("score", TRACES, seed=0))
    said = captions(read_evidence(job, there))
    assert "SCoRe, β & γ (carry, seed 1)" in said["bars_main"]
    assert "what is shown is of the others" in said["bars_main"]


def test_what_is_not_of_all_seeds_is_marked(write_grades):
    job = make_job(seeds=(0, 1))
    there = [write_grades("base", TRACES, seed=seed) for seed in (0, 1)]
    report = read_evidence(job, [*there, write_grades("score", TRACES, seed=0)]).report
    for draw in (bars.bars, bars.transitions):
        figure = draw(report, "main")
        assert texts(figure).count("1 of 2 seeds") == 1
        figure.draw_without_rendering()
        (mark,) = [text for text in figure.findobj(Text) if text.get_text() == "1 of 2 seeds"]
        others = [text for text in figure.findobj(Text) if text is not mark and text.get_text()
                  and text.get_visible()]  # fmt: skip
        box = mark.get_window_extent()
        assert not [text for text in others if text.get_window_extent().overlaps(box)]
        assert box.x0 > figure.axes[0].get_window_extent().x1, "beside the bars, not on them"


def test_attempts_and_samples_that_some_seeds_lack_are_named(write_grades):
    job = make_job(seeds=(0, 1)).model_copy(update={
        "windows": {"carry": {"score": 1}},
        "shown": {"voting": {"carry": ("score",)}, "familiar": {}, "snapshots": {},
                  "attempts": {"carry": ("base", "score")}},
    })  # fmt: skip
    graded = [write_grades("score", ["rwr", "wrr"], seed=0),
              write_grades("score", ["rwrr", "wrrr"], seed=1),
              *(write_grades("base", ["rw", "wr"], seed=seed) for seed in (0, 1))]  # fmt: skip
    votes = {
        Place("carry", "score", seed): pd.DataFrame(
            attempt_rows(["rr"] * 2 * samples, "voting", samples=samples)
        )
        for seed, samples in ((0, 2), (1, 4))
    }
    said = captions(replace(read_evidence(job, graded), voting=votes))
    assert "SCoRe, β & γ on carry, seed 0, after attempt 3" in said["attempts"]
    assert "Base on carry, seed 1, after attempt 2" in said["attempts"]
    assert "seed 0, all but its first 2 samples" in said["voting"]


def test_gaps_in_what_changes_are_named(job, write_log):
    """Of one run the log stops early, of the other it has numbers that are none."""
    job = make_job(seeds=(0, 1, 2))
    paths = [write_log("score", [(0.5, 0.6)] * 10, seed=seed) for seed in (0, 1, 2)]
    logs = read_all_logs(paths)
    for seed, log in enumerate(logs.values()):
        log["changed"] = float("nan") if seed == 1 else 0.1
    place = Place("carry", "score", 2)
    logs[place] = logs[place].iloc[:4]
    said = captions(replace(read_evidence(job, []), logs=logs))["changes"]
    assert "10 of 10 steps are NaN (Stage II, seed 1)" in said
    assert "4 of 10 steps logged (Stage II, seed 2)" in said


def places(line):
    """At which values marks stand, which are a little to the side."""
    return np.round(np.array(line.get_xdata(), float)).tolist()


def test_a_sweep_shows_what_is_there_and_names_the_rest(write_grades):
    points = {"base": 0, "score": 10, "single_turn_rl": 30}
    sweeps = {"alpha": Sweep(label="α", methods=points)}
    job = make_job().model_copy(update={"sweeps": sweeps})
    evidence = read_evidence(job, [write_grades(node, TRACES) for node in ("base", "score")])
    (drawing,) = (of for of in figures.drawings(evidence) if of.name == "sweep_alpha")
    assert "Missing: Single-turn RL on carry." in drawing.caption
    upper, lower = drawing.figure.axes
    t1, t2 = (line for line in upper.lines if line.get_marker() == "o")
    assert places(t1) == places(t2) == [0, 1, 2]
    assert t1.get_xdata()[0] < t2.get_xdata()[0]  # no whisker on another
    assert [tick.get_text() for tick in lower.get_xticklabels()] == ["0", "10", "30"]
    assert list(t1.get_ydata()) == pytest.approx([40.0, 40.0, np.nan], nan_ok=True)
    assert list(t2.get_ydata()) == pytest.approx([50.0, 50.0, np.nan], nan_ok=True)
    assert lower.get_xlabel() == "α"


def test_a_sweep_has_a_gap_where_a_value_is_not_there_and_marks_what_is_partly(write_grades):
    sweep = Sweep(label="α", methods={"base": 0, "single_turn_rl": 10, "score": 30})
    job = make_job(seeds=(0, 1)).model_copy(update={"sweeps": {"alpha": sweep}})
    graded = [write_grades("base", TRACES, seed=0), write_grades("base", TRACES, seed=1),
              write_grades("score", TRACES, seed=1)]  # fmt: skip
    (drawing,) = (of for of in figures.drawings(read_evidence(job, graded))
                  if of.name == "sweep_alpha")  # fmt: skip
    upper, _ = drawing.figure.axes
    _, t2 = (line for line in upper.lines if line.get_marker() == "o")
    gaps = np.isnan(np.array(t2.get_ydata(), float))
    assert gaps.tolist() == [False, True, False]  # no line through it
    (mark,) = (text for text in upper.texts if "seeds" in text.get_text())
    assert mark.get_text() == "1 of 2 seeds" and mark.xy[0] == 2


def test_a_method_that_learned_nothing_is_told_wherever_it_is_drawn(write_grades):
    """A model fine-tuned on no traces is the one that it started from, under another name."""
    job = make_job(seeds=(0, 1))
    graded = [
        write_grades(node, TRACES, seed=seed) for node in ("base", "score") for seed in (0, 1)
    ]
    record = graded[-1].parent / "model" / "provenance.json"
    record.parent.mkdir()
    record.write_text('{"job": "FinetuneJob", "traces": 0}')
    evidence = read_evidence(job, graded)
    said = (
        "No traces to learn from, so the model that it starts from: SCoRe, β & γ (carry, seed 1)."
    )
    drawn = {of.name: of for of in figures.drawings(evidence)}
    assert all(said in of.caption for of in drawn.values())
    bars = drawn["bars_main"]
    assert "1 of 2 learned nothing" in [text.get_text() for text in bars.figure.axes[0].texts]
    (claim,) = (of for of in findings(evidence, "carry") if of.claim.name == "SCoRe gains")
    assert claim.seeds == 1 and claim.verdict == "undecided"  # p of one seed is about one model
    (main,) = (table for table, _ in tables(evidence) if table.name == "main")
    assert said in main.notes
    earlier = record.parents[2].with_name("score.round1") / "seed1" / "model" / "provenance.json"
    earlier.parent.mkdir(parents=True)
    earlier.write_text('{"job": "FinetuneJob", "traces": 7}')
    assert not read_evidence(job, graded).report.untaught  # it has learned before


def test_a_sweep_over_tasks_has_a_line_a_method(write_grades):
    sweep = Sweep(label="width", tasks={"carry": 32, "small": 16}, lines=("base", "score"))
    job = make_job(("carry", "small")).model_copy(update={"sweeps": {"size": sweep}})
    graded = [write_grades(node, TRACES, task=task) for node in ("base", "score")
              for task in ("carry", "small")]  # fmt: skip
    evidence = read_evidence(job, graded)
    (drawing,) = (of for of in figures.drawings(evidence) if of.name == "sweep_size")
    upper, lower = drawing.figure.axes
    lines = [line for line in upper.lines if line.get_marker() in "os"]
    assert [places(line) for line in lines] == [[0, 1]] * 2
    assert [tick.get_text() for tick in lower.get_xticklabels()] == ["16", "32"]  # by value
    assert len({line.get_marker() for line in lines}) == 2  # not by colour alone


def test_a_sweep_of_words_is_not_joined(write_grades):
    sweep = Sweep(label="said", methods={"base": "this", "score": "that"})
    job = make_job().model_copy(update={"sweeps": {"said": sweep}})
    evidence = read_evidence(job, [write_grades(node, TRACES) for node in ("base", "score")])
    (drawing,) = (of for of in figures.drawings(evidence) if of.name == "sweep_said")
    _, lower = drawing.figure.axes
    assert [tick.get_text() for tick in lower.get_xticklabels()] == ["this", "that"]
    marked = [line for line in lower.lines if line.get_marker() == "o"]
    assert {line.get_linestyle() for line in marked} == {"None"}
    keys = drawing.figure.legends[0].get_lines()
    assert {key.get_linestyle() for key in keys} == {"None"}  # as they are drawn
    assert keys[0].get_markerfacecolor() != keys[1].get_markerfacecolor()


def test_a_sweep_may_end_at_the_last_attempt(write_grades):
    sweep = Sweep(label="K", methods={"base": 2, "score": 4}, attempt="last")
    job = make_job().model_copy(update={"sweeps": {"attempts": sweep}})
    graded = [write_grades("base", ["wwr", "rrr"]), write_grades("score", ["wrr", "rrr"])]
    (drawing,) = (of for of in figures.drawings(read_evidence(job, graded))
                  if of.name == "sweep_attempts")  # fmt: skip
    upper, lower = drawing.figure.axes
    _, t2, last = (list(line.get_ydata()) for line in upper.lines if line.get_marker() == "o")
    assert t2 == pytest.approx([50, 100]) and last == pytest.approx([100, 100])
    (gain,) = (list(line.get_ydata()) for line in lower.lines if line.get_marker() == "o")
    assert gain == pytest.approx([50, 50])
    assert lower.get_ylabel() == "Δ(t1,last)"
    assert "last (light) of 3 attempts" in drawing.caption


def snapshots(steps: Sequence[int]) -> pd.DataFrame:
    """Of two problems that are wrong at first, more are corrected from step to step."""
    rows = [attempt_rows(["wr"] * at + ["ww"] * (4 - at), f"{whose}-{step}")
            for at, step in enumerate(steps) for whose in ("own", "fixed")]  # fmt: skip
    return pd.DataFrame([row for part in rows for row in part])


def test_seeds_of_which_fewer_models_were_kept_are_named_and_left_out(write_grades):
    job = make_job(seeds=(0, 1, 2)).model_copy(
        update={"shown": {"voting": {}, "familiar": {}, "attempts": {},
                          "snapshots": {"carry": ("score",)}}}
    )  # fmt: skip
    kept = {0: [0, 2, 4], 1: [0], 2: [0, 4, 8]}
    found = {Place("carry", "score", seed): snapshots(steps) for seed, steps in kept.items()}
    graded = [write_grades("score", TRACES, seed=seed) for seed in kept]
    evidence = replace(read_evidence(job, graded), snapshots=found)
    said = captions(evidence)["fine_tuning"]
    assert "seed 1, of which only the start was kept" in said
    drawn = fine_tuning.estimated(evidence, "carry", "score")["own"]
    assert {step: of.value for step, of in drawn.items()} == {0: 0, 3: 25, 6: 50}


def test_methods_that_are_not_shown_have_their_label(job):
    job = job.model_copy(update={"methods": job.methods[:1], "trained": {"stage1": "Stage I"}})
    report = read_evidence(job, []).report
    assert [report.label(name) for name in ("base", "stage1", "other")] == [
        "Base", "Stage I", "other",
    ]  # fmt: skip


def test_a_caption_names_its_task_and_how_many_problems(write_grades):
    job = make_job().model_copy(update={"windows": {"carry": {"score": 1}}})
    evidence = read_evidence(job, [write_grades(of.name, ["wrr"] * 7) for of in job.methods])
    said = captions(evidence)
    for name in ("bars_main", "transitions_main", "edits_carry", "attempts", "flow", "levels",
                 "mistakes_carry", "changes", "training"):  # fmt: skip
        assert "carry" in said[name], name
    for name in ("bars_main", "transitions_main", "attempts", "flow", "levels"):
        assert "carry (7 problems)" in said[name], name
