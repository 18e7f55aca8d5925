"""How far second attempts are from first ones: edit distance over the sum of lengths (Fig. 4)."""

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein

from selfcorrect.analysis.metrics import Shares, in_order


def edit_ratio(one: str, other: str) -> float:
    """Levenshtein distance in characters over the sum of both lengths; 0 for equal texts."""
    length = len(one) + len(other)
    return float(Levenshtein.distance(one, other) / length) if length else 0.0


def edit_ratios(attempts: pd.DataFrame, decoding: str) -> Shares:
    """The ratio of every trace's first two attempts; rows have problem, sample, turn and text."""
    rows = attempts[attempts["decoding"] == decoding]
    _, order = in_order(rows)
    pairs = rows["text"].to_numpy(object)[order[..., :2]].reshape(-1, 2)
    return np.array([edit_ratio(*pair) for pair in pairs])
