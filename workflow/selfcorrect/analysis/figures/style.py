"""How figures look: one colour per method, print-ready fonts, the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

# Okabe and Ito's colour-blind safe palette, with another shade of a hue for a method's relative, a
# yellow that can be seen on white, and grey for black, on which whiskers would not be seen. Every
# figure has them; below the config's methods, those of the open questions. So many colours cannot
# all be told apart by everybody: where several methods share axes, dashes or markers differ too.
COLOURS = {
    "base": "#6a6a6a",
    "self_refine": "#959595",
    "star_d": "#56b4e9",
    "star_d_plus": "#2a7fb0",
    "pair_sft_d": "#a59300",
    "pair_sft_d_plus": "#6e6200",
    "single_turn_rl": "#cc79a7",
    "multi_turn_rl_last": "#e69f00",
    "multi_turn_rl_sum": "#7a5200",
    "stage1": "#66c2a8",
    "score": "#009e73",
    "score_without_stage1": "#0072b2",
    "score_without_shaping": "#d55e00",
    "score_star_stage2": "#00507d",
    "score_gamma": "#8e4369",
    "stage1_three": "#8f86d1",
    "score_three": "#332288",
    "stage1_four": "#c98a93",
    "score_four": "#a83a4c",
    "score_one_stage_half": "#b35fa8",
    "score_one_stage_whole": "#5e7d00",
}
OTHER = "#4d4d4d"
DASHES: dict[str, Any] = {
    "multi_turn_rl_last": (0, (1, 1)),
    "multi_turn_rl_sum": (0, (4, 1)),
    "score_without_stage1": (0, (6, 1.5, 1, 1.5)),
    "score_without_shaping": (0, (2.5, 1.5)),
    "score_gamma": (0, (6, 1, 1, 1, 1, 1)),
    "stage1_three": (0, (3, 1)),
    "score_three": (0, (3, 1)),
    "stage1_four": (0, (1.5, 1)),
    "score_four": (0, (1.5, 1)),
    "score_one_stage_half": (0, (8, 2)),
    "score_one_stage_whole": (0, (8, 2, 2, 2)),
}
MARKERS = "os^Dv"
# Where problems stand after an attempt: right in blues, wrong in reds, what changed strong; no
# method has these (ColorBrewer's RdBu, colour-blind safe).
FLOW = {"kept": "#92c5de", "gained": "#2166ac", "lost": "#b2182b", "open": "#fddbc7"}
MISSING = "#666666"

_SETTINGS: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType: embedded, and text stays text
    "savefig.dpi": 300,
}


MARGIN = 0.1  # inches around a figure


def colour(method: str) -> str:
    """A method's colour in every figure; grey for methods that have none of their own."""
    return COLOURS.get(method, OTHER)


def dashes(method: str) -> Any:
    """A method's line where several share axes."""
    return DASHES.get(method, "-")


def tint(of: str) -> tuple[float, float, float]:
    """A colour mixed with white, for first attempts."""
    red, green, blue = (0.3 * part + 0.7 for part in to_rgb(of))
    return red, green, blue


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def save(figure: Figure, folder: Path, name: str, caption: str) -> None:
    """Write ``name`` as PDF, PNG and its caption as text; no dates or versions inside."""
    # Laid out and measured once for both files: most of the time goes into that.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    box = figure.get_tightbbox().padded(MARGIN)
    nothing = {"CreationDate": None, "Creator": None, "Producer": None}
    figure.savefig(folder / f"{name}.pdf", metadata=nothing, bbox_inches=box)
    figure.savefig(folder / f"{name}.png", metadata={"Software": None}, bbox_inches=box)
    (folder / f"{name}.txt").write_text(caption + "\n")
