"""Correction over the course of fine-tuning, from attempts of models kept on the way (Fig. 5)."""

import re
from typing import NamedTuple

import pandas as pd

from selfcorrect.analysis.metrics import Shares, outcomes, per_problem


class Corrections(NamedTuple):
    """Of a model, by problem: first attempts that are wrong, and of these the corrected, (n,)."""

    wrong: Shares
    corrected: Shares


def corrections(attempts: pd.DataFrame) -> dict[str, dict[int, Corrections]]:
    """By whose first attempts (``own``, ``fixed``) and by optimiser step, in order of steps.

    ``attempts``: graded, a row each; decodings are ``own-<step>`` and ``fixed-<step>``.
    """
    found: dict[str, dict[int, Corrections]] = {"own": {}, "fixed": {}}
    for decoding in attempts["decoding"].unique():
        match = re.fullmatch(r"(own|fixed)-(\d+)", str(decoding))
        if match is None:
            raise ValueError(f"unknown decoding {decoding!r}")
        shares = per_problem(outcomes(attempts, decoding))
        found[match[1]][int(match[2])] = Corrections(1 - shares["t1"], shares["i_to_c"])
    return {whose: dict(sorted(of.items())) for whose, of in found.items()}
