"""Conversations in token ids, for the tests of every engine."""

from collections.abc import Sequence
from typing import Any

import torch
from scipy.stats import chisquare

from selfcorrect.lm.engine import Completion, Engine
from selfcorrect.seeds import derive
from tiny import EOS, VOCABULARY, plain_logprobs

PROMPTS = [[3], [4, 5, 6, 7, 2, 8, 3], [2, 2, 3], [8, 7], [5, 6, 5, 6, 5, 6, 5, 6, 5], [6, 4, 2]]
INSTRUCTION = [EOS, 7, 8, 2]
LIMIT = 7  # tokens an attempt may have

Turn = list[tuple[list[int], Completion]]  # per row: what it had read, what it wrote


def converse(
    engine: Engine,
    prompts: Sequence[Sequence[int]] = PROMPTS,
    *,
    copies: int = 1,
    turns: int = 2,
    temperature: float = 1.0,
    seed: int = 1,
) -> list[Turn]:
    """A conversation of every row, and the tokens each attempt was sampled after."""
    session = engine.open(prompts, copies)
    contexts = [list(prompt) for prompt in prompts for _ in range(copies)]
    record = []
    for turn in range(turns):
        done = session.sample(LIMIT, temperature, row_seeds(len(contexts), seed, turn))
        record.append(list(zip([list(context) for context in contexts], done, strict=True)))
        bridges = [INSTRUCTION[0 if out.truncated else 1 :] for out in done]
        session.extend(bridges)
        for context, out, bridge in zip(contexts, done, bridges, strict=True):
            context += [*out.tokens, *bridge]
    return record


def row_seeds(rows: int, *names: int) -> list[int]:
    return [derive(row, *names) for row in range(rows)]


def tokens_of(record: Sequence[Turn]) -> list[list[list[int]]]:
    return [[out.tokens for _, out in turn] for turn in record]


def assert_follows_the_model(engine: Engine, model: Any) -> None:
    """Two thousand copies of one prompt: first and second tokens by the model's probabilities."""
    copies = 2000
    done = engine.open([PROMPTS[1]], copies).sample(2, 1.0, row_seeds(copies))
    pairs = [tuple(out.tokens) for out in done]
    assert len(pairs) == copies
    possible = [(EOS,), *((a, b) for a in range(VOCABULARY) if a != EOS for b in range(VOCABULARY))]
    with torch.no_grad():
        expected = torch.stack(
            [plain_logprobs(model, PROMPTS[1], pair, 1.0).sum() for pair in possible]
        ).exp().double()  # fmt: skip
    counts = torch.tensor([pairs.count(pair) for pair in possible]).double()
    assert counts.sum() == copies
    common = expected * copies >= 5
    observed = torch.cat([counts[common], counts[~common].sum().reshape(1)])
    wanted = torch.cat([expected[common], expected[~common].sum().reshape(1)])
    assert chisquare(observed, wanted / wanted.sum() * copies).pvalue > 1e-3
