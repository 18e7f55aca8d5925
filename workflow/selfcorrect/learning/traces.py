"""Which traces the supervised baselines are fine-tuned on. Imports no torch.

STaR keeps the model's own two-turn traces by their verdicts; Pair-SFT makes traces of two first
attempts at the same problem. Set D holds wrong → right, D+ right → right as well (§4).
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from selfcorrect.records import Trace, Verdict
from selfcorrect.spec.kinds import Transition


def star(traces: Sequence[Trace], verdicts: Sequence[Sequence[Verdict]]) -> list[list[Trace]]:
    """Two-turn traces that end right, as [wrong → right, right → right].

    Args:
        traces: sampled from the model itself.
        verdicts: of each trace's attempts.
    """
    kept: list[list[Trace]] = [[], []]
    for trace, (first, second, *_) in zip(traces, verdicts, strict=True):
        if second is Verdict.RIGHT:
            kept[first is Verdict.RIGHT].append(trace)
    return kept


def pair(
    traces: Sequence[Trace], verdicts: Sequence[Sequence[Verdict]], rng: np.random.Generator
) -> list[list[Trace]]:
    """First attempts at the same problem in pairs, as [wrong → right, right → right].

    Every wrong attempt is paired with a right one drawn at random, every right attempt with
    another right one. What the model read between the attempts stays what followed the first.

    Args:
        traces: a problem's traces side by side.
        verdicts: of each trace's attempts.
        rng: draws the partners.
    """
    made: list[list[Trace]] = [[], []]
    both = zip(traces, verdicts, strict=True)
    for _, group in groupby(both, key=lambda item: item[0].problem.id):
        items = list(group)
        right = [trace for trace, verdict in items if verdict[0] is Verdict.RIGHT]
        for trace, verdict in items:
            partners = [other for other in right if other is not trace]
            if partners:
                partner = partners[rng.integers(len(partners))]
                made[verdict[0] is Verdict.RIGHT].append(_paired(trace, partner))
    return made


def _paired(first: Trace, second: Trace) -> Trace:
    revision = second.attempts[0]
    between = first.attempts[1].prompt
    return Trace(
        first.problem,
        first.sample,
        [
            first.attempts[0],
            type(revision)(
                between, revision.tokens, revision.logprobs, revision.text, revision.truncated
            ),
        ],
    )


def chosen(
    by_transition: Sequence[Sequence[Trace]],
    transitions: Sequence[Transition],
    max_traces: int,
    rng: np.random.Generator,
) -> list[Trace]:
    """The wanted transitions' traces together, at most ``max_traces``, drawn at random.

    Args:
        by_transition: [wrong → right, right → right].
        transitions: D is wrong_right alone, D+ both.
        max_traces: a cap.
        rng: draws among too many.
    """
    wanted = [
        trace
        for name, traces in zip(("wrong_right", "right_right"), by_transition, strict=True)
        if name in transitions
        for trace in traces
    ]
    keep = rng.permutation(len(wanted))[:max_traces]
    return [wanted[index] for index in sorted(keep)]
