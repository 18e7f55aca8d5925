"""MATH and GSM8K: their rows as problems. Tests of the real files skip where they are not there."""

import json
from collections import Counter

import pytest

from selfcorrect.files import FileProblem
from selfcorrect.records import Submission, Verdict
from selfcorrect.spec import GSM8KProblems, MathProblems, mathematics
from selfcorrect.tasks import gsm8k, make_task, math
from selfcorrect.validation import ConfigError, parse
from shared_data import data

MATH_FILES = {
    "train_rows": ("math/train.jsonl",
                   "00aa30008a611172529ab775ed6f3af9efd32974625b19181c3ebfc724134e52"),
    "test_rows": ("math/test.jsonl",
                  "1b833f0f8869d7cb975debfe04f0697bd23455c388045ba9159e5046d37df5fa"),
    "math500_rows": ("math/math500_test.jsonl",
                     "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132"),
}  # fmt: skip
GSM8K_FILES = {
    "train_rows": ("gsm8k/train.jsonl",
                   "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465"),
    "test_rows": ("gsm8k/test.jsonl",
                  "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"),
}  # fmt: skip


@pytest.fixture(scope="module", params=["math", "gsm8k"])
def real(request):
    """A task with the benchmark's own files."""
    kind, files = (
        (MathProblems, MATH_FILES) if request.param == "math" else (GSM8KProblems, GSM8K_FILES)
    )
    rows = {
        key: {"path": str(data(path)), "sha256": sha256} for key, (path, sha256) in files.items()
    }
    return make_task(parse(kind, {"kind": request.param, **rows, "validation": 500, "seed": 0}))


def everything(task):
    return [
        problem for split in ("train", "validation", "test") for problem in task.problems(split)
    ]


def test_the_splits_have_their_sizes_and_share_no_problem(real):
    for split in ("train", "validation", "test"):
        assert len(real.problems(split)) == getattr(real.data, split)
    problems = everything(real)
    assert len({problem.id for problem in problems}) == len(problems)
    assert len({problem.question for problem in problems}) == len(problems)


def test_math_has_twelve_thousand_problems_to_train_on_but_for_two(real):
    if isinstance(real.data, MathProblems):
        assert len(real.problems("train")) + len(real.problems("validation")) == 12_000 - 2
        levels = Counter(problem.level.rsplit(", ", 1)[1] for problem in real.problems("test"))
        assert levels == {"1": 43, "2": 90, "3": 105, "4": 128, "5": 134}


SAID = [
    "Step by step.\nFinal Answer: The final answer is ${}$. I hope it is correct.",
    "Therefore \\boxed{{{}}} it is.",
]


@pytest.mark.parametrize("said", SAID)
def test_every_gold_answer_is_right(real, said):
    problems = everything(real)
    grades = real.grade([Submission(each, said.format(each.answer)) for each in problems])
    wrong = [
        (problem.id, grade)
        for problem, grade in zip(problems, grades, strict=True)
        if grade.verdict is not Verdict.RIGHT
    ]
    assert wrong == []


def test_the_gold_answer_of_another_problem_is_hardly_ever_right(real):
    problems = real.problems("test")
    others = [*problems[1:], problems[0]]
    submissions = [
        Submission(problem, f"\\boxed{{{other.answer}}}")
        for problem, other in zip(problems, others, strict=True)
        if problem.answer != other.answer
    ]
    right = sum(grade.verdict is Verdict.RIGHT for grade in real.grade(submissions))
    assert right <= 0.01 * len(submissions)


# --- made-up files ------------------------------------------------------------------------------


def row(number, **changes):
    return {
        "problem": f"What is {number} + 1?",
        "solution": f"It is \\boxed{{{number + 1}}}.",
        "level": "Level 2",
        "type": "Algebra",
        "unique_id": f"made/{number}",
    } | changes


@pytest.fixture
def small(monkeypatch):
    """MATH with 10 training problems, one of them unusable, and 6 test problems, 2 of them 500."""
    for name, count in {"MATH_TRAIN": 10, "MATH_TEST": 6, "MATH_500": 2}.items():
        monkeypatch.setattr(mathematics, name, count)
        monkeypatch.setattr(math, name, count)
    monkeypatch.setattr(mathematics, "MATH_UNUSABLE", 1)
    for name, count in {"GSM8K_TRAIN": 5, "GSM8K_TEST": 2}.items():
        monkeypatch.setattr(mathematics, name, count)
        monkeypatch.setattr(gsm8k, name, count)


def written(folder, train=(), test=(), math500=()):
    rows = {
        "train": [row(number) for number in range(9)] + [row(99, solution="\\boxed{}")],
        "test": [row(number) for number in range(20, 26)],
        "math500": [row(21, level=3), row(24, level=5)],
    }
    for name, given in {"train": train, "test": test, "math500": math500}.items():
        lines = [json.dumps(each) for each in given or rows[name]]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    sources = {f"{name}_rows": {"path": str(folder / f"{name}.jsonl")} for name in rows}
    section = {"kind": "math", **sources, "validation": 3, "seed": 1}
    return make_task(parse(MathProblems, section))


def test_test_problems_that_are_not_tested_on_are_trained_on(small, tmp_path):
    task = written(tmp_path)
    assert [problem.id for problem in task.problems("test")] == ["made/21", "made/24"]
    assert [problem.level for problem in task.problems("test")] == ["Algebra, 3", "Algebra, 5"]
    ids = {p.id for split in ("train", "validation") for p in task.problems(split)}
    assert ids == {f"made/{number}" for number in (*range(9), 20, 22, 23, 25)}
    assert len(task.problems("validation")) == 3
    assert task.problems("validation") == written(tmp_path).problems("validation")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train": [row(1)]}, "train.jsonl: 1 problems, but the benchmark has 10"),
        ({"math500": [row(21), row(77)]}, "math500.jsonl: it has problems that are not among"),
        ({"test": [row(n, solution="six") for n in range(6)]}, "test.jsonl: made/0: `solution`"),
        ({"train": [row(n) for n in range(10)]}, "train.jsonl: 0 problems have an empty answer"),
        ({"train": [row(n % 9) for n in range(10)]}, "line 10: task_id 'made/0' is there twice"),
        ({"test": [row(1, problem=None)]}, "test.jsonl: line 1: `problem`: Input should be"),
    ],
    ids=["too few", "not a subset", "no box", "nothing empty", "twice", "no text"],
)
def test_faulty_files_are_named(small, tmp_path, files, said):
    with pytest.raises(FileProblem) as caught:
        written(tmp_path, **files).problems("test")
    assert said in str(caught.value)


def test_an_id_in_two_files_is_named(small, tmp_path):
    """Of two problems under one id one would be graded by the other's answer."""
    numbered = [row(n, unique_id=f"made/{n - 20}") for n in range(20, 26)]
    tested = [numbered[1], numbered[4]]
    with pytest.raises(FileProblem, match=r"task_id 'made/\d' is there twice in the files"):
        written(tmp_path, test=numbered, math500=tested).problems("train")


def test_a_missing_file_is_named(small, tmp_path):
    task = written(tmp_path)
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(FileProblem, match=r"test\.jsonl: no such file"):
        task.problems("train")


def grade_school(folder, answer="1 + 1 = <<1+1=2>>2\nSo 1,002.\n#### 1,002"):
    rows = [{"question": f"How many, {n}?", "answer": answer} for n in range(5)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows[:2])))
    sources = {
        f"{name}_rows": {"path": str(folder / f"{name}.jsonl")} for name in ("train", "test")
    }
    return make_task(parse(GSM8KProblems, {"kind": "gsm8k", **sources, "validation": 2, "seed": 1}))


def test_gsm8k_reads_the_number_behind_the_mark(small, tmp_path):
    task = grade_school(tmp_path)
    assert [problem.answer for problem in task.problems("test")] == ["1002", "1002"]
    assert [problem.level for problem in task.problems("test")] == ["2", "2"]
    assert len(task.problems("train")) == 3
    assert not {p.id for p in task.problems("train")} & {p.id for p in task.problems("validation")}


@pytest.mark.parametrize("answer", ["It is 7.", "It is 7.\n####", "It is 7.\n####   "])
def test_gsm8k_without_an_answer_is_named(small, tmp_path, answer):
    with pytest.raises(FileProblem, match="`answer` does not end with ####"):
        grade_school(tmp_path, answer).problems("test")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({}, "train_rows.path: give `path` or `hub`"),
        ({"hub": "b"}, "train_rows.split: needed with `hub`"),
        ({"hub": "b", "split": "a", "sha256": "0" * 64}, "train_rows.sha256: is of a file"),
        ({"path": "a", "sha256": "0"}, "train_rows.sha256"),
    ],
)
def test_a_source_is_a_file_or_a_dataset(source, said):
    other = {"path": "somewhere"}
    section = {
        "kind": "gsm8k",
        "train_rows": source,
        "test_rows": other,
        "validation": 1,
        "seed": 0,
    }
    with pytest.raises(ConfigError) as caught:
        parse(GSM8KProblems, section)
    assert said in str(caught.value)


def test_rows_come_from_a_dataset_as_from_a_file(small, tmp_path, monkeypatch):
    asked = []

    def load(name, subset, split, revision):
        asked.append((name, subset, split, revision))
        made = {"one": range(3), "two": range(3, 5), None: range(2)}[subset]
        return [{"question": f"{n}?", "answer": f"#### {n}"} for n in made]

    monkeypatch.setattr("datasets.load_dataset", load)
    section = {
        "kind": "gsm8k",
        "train_rows": {
            "hub": "some/where",
            "subsets": ["one", "two"],
            "split": "train",
            "revision": "abc",
        },
        "test_rows": {"hub": "some/where", "split": "test"},
        "validation": 2,
        "seed": 1,
    }
    task = make_task(parse(GSM8KProblems, section))
    assert [problem.answer for problem in task.problems("test")] == ["0", "1"]
    assert {problem.question for problem in everything(task)} == {f"{n}?" for n in range(5)}
    assert asked == [
        ("some/where", None, "test", None),
        ("some/where", "one", "train", "abc"),
        ("some/where", "two", "train", "abc"),
    ]


def test_a_dataset_that_cannot_be_reached_is_named(small, monkeypatch):
    def load(*_, **__):
        raise ConnectionError("Couldn't reach the Hub\nand so on")

    monkeypatch.setattr("datasets.load_dataset", load)
    hub = {"hub": "some/where", "split": "train"}
    section = {"kind": "gsm8k", "train_rows": hub, "test_rows": hub, "validation": 1, "seed": 0}
    with pytest.raises(FileProblem) as caught:
        make_task(parse(GSM8KProblems, section)).problems("test")
    assert str(caught.value).startswith("some/where on the Hub, split train: cannot be loaded")
    assert "Couldn't reach the Hub)" in str(caught.value) and "`hub`" in str(caught.value)
