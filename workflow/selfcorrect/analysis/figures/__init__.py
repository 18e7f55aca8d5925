"""The figures, drawn from evaluation records and training logs alone.

A figure is a module with a function ``drawings(evidence)``, and a line in ``FIGURES``. What it
lacks it says, in the picture and in its caption.
"""

from collections.abc import Iterator
from pathlib import Path

from selfcorrect import files
from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.figures import (
    attempts,
    bars,
    edits,
    fine_tuning,
    levels,
    mistakes,
    sweeps,
    training,
    voting,
)
from selfcorrect.analysis.figures.drawing import Drawing
from selfcorrect.analysis.figures.style import save, style

FIGURES = (bars, voting, edits, fine_tuning, training, attempts, sweeps, levels, mistakes)


def drawings(evidence: Evidence) -> Iterator[Drawing]:
    """All figures, one after the other."""
    report = evidence.report
    cautions = [*report.untaught_in_words(), *report.unsafe_in_words()]
    for module in FIGURES:
        for made in module.drawings(evidence):
            yield made._replace(caption=" ".join([made.caption, *cautions]))


def write(evidence: Evidence, folder: Path) -> None:
    """Draw all figures into ``folder``, which is made: PDF, PNG and the caption as text.

    ``index.json`` lists them in order, each with its title, caption, counterpart in the paper
    and width.
    """
    folder.mkdir(parents=True)
    index = []
    with style():
        for drawing in drawings(evidence):
            save(drawing.figure, folder, drawing.name, drawing.caption)
            index.append({
                "name": drawing.name, "title": drawing.title, "source": drawing.source,
                "caption": drawing.caption, "inches": float(drawing.figure.get_size_inches()[0]),
            })  # fmt: skip
    files.write_json(folder / "index.json", index)
