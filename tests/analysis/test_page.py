"""The report's page: all of it in one file, and it works in a browser."""

import re
from html.parser import HTMLParser

import pytest
from synthetic import make_job

from selfcorrect.analysis import figures
from selfcorrect.analysis.evidence import read_evidence
from selfcorrect.analysis.page import page
from selfcorrect.analysis.page.examples import examples, marked
from selfcorrect.analysis.tables import tables
from selfcorrect.files import FileProblem

TRACES = {
    "base": ["rr"] * 10 + ["rw"] * 6 + ["wr"] * 2 + ["ww"] * 12,
    "score": ["rr"] * 12 + ["rw"] * 1 + ["wr"] * 9 + ["ww"] * 8,
}
COMMIT = "00945fe39c0706763adffffa9504383555934469"  # no place to break it
MANIFEST = {
    "config": {"results": "results/of-a-test"},
    "environment": {"packages": {"torch": "2.13.0"}},
    "results": {
        "a": {"commit": COMMIT, "seconds": 61.0, "started": "2026-01-01T00:00:00", "device": "CPU",
              "python": "3.11"},
        "carry/star_d/seed0/snapshots/step2/provenance.json": {"step": 2},
    },
}  # fmt: skip


@pytest.fixture
def evidence(write_grades):
    return read_evidence(make_job(), [write_grades(*one) for one in TRACES.items()])


@pytest.fixture
def drawn(evidence, tmp_path):
    figures.write(evidence, tmp_path / "figures")
    return tmp_path / "figures"


@pytest.fixture
def written(evidence, drawn):
    return page(evidence, tables(evidence), drawn, MANIFEST)


def test_the_page_holds_the_config_and_how_much_was_asked(written):
    assert "results: results/of-a-test" in written
    assert re.search(r"carry \(\d+ problems\)", written)


class Links(HTMLParser):
    """What a page would ask for, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.asked += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_nothing_is_asked_from_elsewhere(written):
    read = Links()
    read.feed(written)
    assert not read.open
    assert all(link.startswith(("data:", "#")) for link in read.asked)
    assert not re.search(r"@import|url\(|fetch\(|https?://", written)


def test_the_page_says_what_came_out(written):
    assert "The base model loses accuracy by revising" in written
    assert "not tested" in written
    assert "Missing, no grades: Single-turn RL (carry, seed 0)" in written
    assert f"<td>{COMMIT}</td>" in written and "torch 2.13.0" in written
    for name in ("bars_main", "voting", "mistakes_carry"):
        assert f'id="figure-{name}"' in written
    for name in ("main", "ablations", "attempts"):
        assert f'id="table-{name}"' in written


def test_a_missing_figure_is_named(evidence, drawn):
    (drawn / "voting.png").unlink()
    with pytest.raises(FileProblem, match=r"voting\.png: no such figure"):
        page(evidence, tables(evidence), drawn, MANIFEST)


def test_examples_are_of_every_outcome(evidence):
    shown = [(one.method, one.outcome) for one in examples(evidence)]
    for kind in ("corrected", "broken", "copied"):
        assert 1 <= shown.count(("Base", kind)) <= 3


@pytest.mark.parametrize(("first", "second", "expected"), [
    ("1234", "1254", ("12<del>3</del>4", "12<ins>5</ins>4")),
    ("a<b", "a<b", ("a&lt;b", "a&lt;b")),
    ("", "x", ("", "<ins>x</ins>")),
    ("long " * 40 + "end", "long " * 40 + "other end",
     ("long " * 40 + "end", "long " * 40 + "<ins>other </ins>end")),
])  # fmt: skip
def test_differences_are_marked(first, second, expected):
    assert marked(first, second) == expected


# --- in a browser -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_works_in_a_browser(browser, written, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(written)
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    asked = re.findall(r'\\?"url\\?":\\?"(\w+):', str(browser.get_log("performance")))
    assert "file" in asked and set(asked) <= {"file", "data", "about"}

    heads = browser.find_elements("css selector", "#claims th button")
    at = {head.text: number for number, head in enumerate(heads)}

    def column(name: str) -> list[str]:
        cells = browser.find_elements("css selector", f"#claims tbody td:nth-child({at[name] + 1})")
        return [cell.text for cell in cells]

    before = column("verdict")
    heads[at["verdict"]].click()
    assert column("verdict") == sorted(before)
    heads[at["verdict"]].click()
    assert column("verdict") == sorted(before, reverse=True) != sorted(before)
    heads[at["came out"]].click()
    numbers = [float(text.split(" ")[0].replace("−", "-"))
               for text in column("came out") if text != "–"]  # fmt: skip
    assert len(numbers) > 3 and numbers == sorted(numbers)

    def shown() -> set[str]:
        traces = browser.find_elements("css selector", ".trace")
        return {one.get_attribute("data-outcome") for one in traces if one.is_displayed()}

    assert len(shown()) > 2
    browser.find_element("css selector", '.filters button[data-outcome="corrected"]').click()
    assert shown() == {"corrected"}
    browser.find_element("css selector", '.filters button[data-outcome=""]').click()
    assert len(shown()) > 2

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True,
    })  # fmt: skip
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('p, td, figcaption')].map("
        "e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12, "readable without zooming in"
    narrow = browser.execute_script(
        "return [...document.querySelectorAll('figure img')].filter("
        "e => e.getBoundingClientRect().width < parseFloat(e.style.minWidth)).length"
    )
    assert narrow == 0, "figures scroll instead of shrinking"
