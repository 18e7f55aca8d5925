"""The paper's numbers (arXiv 2409.12917v2), each with its table, keyed by our method names.

Shown beside ours in the tables; nothing is computed from them. Accuracies are percentages of
problems, decoded greedily, of Gemini models, so what can be compared with a small model is the
sign and the order of effects, not their size.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a results table, in percent of problems; None where the table has no such column.

    ``t1``, ``t2``: accuracy of the first and second attempt. ``delta``: Δ(t1,t2) = t2 - t1.
    ``i_to_c``, ``c_to_i``: Δi→c(t1,t2) and Δc→i(t1,t2). ``mbpp_r``: offline repair of another
    model's wrong programs.
    """

    t1: float
    t2: float
    delta: float
    i_to_c: float | None = None
    c_to_i: float | None = None
    mbpp_r: float | None = None


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """A row of Table 5; ``batch`` is in samples, ``temperature`` that of sampling in training."""

    model: str
    optimiser: str
    learning_rate: float
    steps: int
    batch: int
    temperature: float
    alpha: float
    beta1: float
    beta2: float


# Tables 1 and 2: MATH500.
MATH = {
    "base": Row(52.6, 41.4, -11.2, 4.6, 15.8),
    "self_refine": Row(52.8, 51.8, -1.0, 3.2, 4.2),
    "star_d": Row(55.4, 41.2, -14.2, 5.4, 19.6),
    "star_d_plus": Row(53.6, 54.0, 0.4, 2.6, 2.2),
    "pair_sft_d": Row(52.4, 54.2, 1.8, 5.4, 3.6),
    "pair_sft_d_plus": Row(55.0, 55.0, 0.0, 0.0, 0.0),
    "score": Row(60.0, 64.4, 4.4, 5.8, 1.4),
}

# Table 3: trained on MBPP, evaluated on HumanEval. Its Pair-SFT row does not say which set of
# traces it was trained on; it stands under the plain one.
CODE = {
    "base": Row(53.7, 56.7, 3.0, 7.9, 4.9, mbpp_r=47.3),
    "self_refine": Row(53.7, 52.5, -1.2, 9.8, 11.0, mbpp_r=30.7),
    "pair_sft_d": Row(56.1, 54.3, -1.8, 4.3, 6.1, mbpp_r=59.8),
    "score": Row(52.4, 64.6, 12.2, 15.2, 3.0, mbpp_r=60.6),
}

# Table 4: ablations on MATH500.
ABLATIONS = {
    "score": Row(60.0, 64.4, 4.4),
    "single_turn_rl": Row(61.8, 59.4, -2.4),  # "w/o multi-turn training"
    "score_without_stage1": Row(59.2, 61.4, 2.2),
    "score_without_shaping": Row(60.0, 62.6, 2.6),
    "score_star_stage2": Row(56.2, 58.4, 2.2),
}

# Table 5.
HYPERPARAMETERS = {
    "MATH": Hyperparameters("Gemini 1.5 Flash", "Adam", 5e-6, 3000, 512, 1.0, 10, 0.01, 0.1),
    "MBPP": Hyperparameters("Gemini 1.0 Pro", "Adam", 1e-5, 1500, 128, 1.0, 10, 0.01, 0.25),
}
