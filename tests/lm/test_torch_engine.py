"""The sampling engine against models read plainly: one conversation at a time, whole, no cache."""

import copy
from itertools import chain

import pytest
import torch
from scipy.stats import chisquare

from conversations import (
    LIMIT,
    PROMPTS,
    Turn,
    assert_follows_the_model,
    converse,
    row_seeds,
    tokens_of,
)
from selfcorrect.lm import slab, torch_engine
from selfcorrect.lm.torch_engine import TorchEngine, choose
from tiny import EOS, FAMILIES, PAD, bare_model, plain_logprobs


def engine_of(family: str = "llama") -> TorchEngine:
    return TorchEngine(bare_model(family), EOS, PAD)


# --- what was recorded is what the model says ---------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_logprobs_equal_plain_recomputation(family, temperature):
    engine = engine_of(family)
    record = converse(engine, copies=3, turns=3, temperature=temperature)
    for turn in record:
        lengths = {len(out.tokens) for _, out in turn}
        assert len(lengths) > 2, "attempts of one length would test nothing"
        assert {out.truncated for _, out in turn} == {True, False}
        for context, out in turn:
            plain = plain_logprobs(engine.model, context, out.tokens, temperature)
            torch.testing.assert_close(torch.tensor(out.logprobs), plain, rtol=0, atol=1e-4)


def test_greedy_logprobs_are_those_of_temperature_one():
    engine = engine_of()
    for context, out in converse(engine, temperature=0)[1]:
        plain = plain_logprobs(engine.model, context, out.tokens, 1.0)
        torch.testing.assert_close(torch.tensor(out.logprobs), plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_equals_generate(family):
    engine = engine_of(family)
    record = converse(engine, temperature=0)
    ends = {out.truncated for turn in record for _, out in turn}
    assert ends == {True, False}, "the case should hold attempts of both ends"
    for turn in record:
        for context, out in turn:
            whole = engine.model.generate(
                torch.tensor([context]),
                attention_mask=torch.ones(1, len(context), dtype=torch.long),
                do_sample=False,
                max_new_tokens=LIMIT,
                eos_token_id=EOS,
                pad_token_id=PAD,
            )
            assert whole[0, len(context) :].tolist() == out.tokens


# --- what an attempt is -------------------------------------------------------------------------


def test_an_attempt_ends_at_its_eos_or_is_truncated():
    for turn in converse(engine_of(), copies=8):
        for _, out in turn:
            assert EOS not in out.tokens[:-1]
            assert out.truncated == (out.tokens[-1] != EOS)
            assert len(out.tokens) == LIMIT if out.truncated else len(out.tokens) <= LIMIT
            assert len(out.logprobs) == len(out.tokens)


def test_an_attempt_of_one_token():
    session = engine_of().open(PROMPTS)
    done = session.sample(1, 1.0, row_seeds(len(PROMPTS), 0))
    assert all(len(out.tokens) == 1 for out in done)
    session.extend([[7]] * len(PROMPTS))
    second = session.sample(LIMIT, 1.0, row_seeds(len(PROMPTS), 1))
    for prompt, first, out in zip(PROMPTS, done, second, strict=True):
        plain = plain_logprobs(bare_model(), [*prompt, *first.tokens, 7], out.tokens, 1.0)
        torch.testing.assert_close(torch.tensor(out.logprobs), plain, rtol=0, atol=1e-4)


def test_a_conversation_that_does_not_fit_is_refused():
    engine = TorchEngine(bare_model(), EOS, PAD, columns=12)
    with pytest.raises(ValueError, match=r"does not fit the model's 12.*max_new_tokens"):
        converse(engine)


def test_a_conversation_longer_than_the_sliding_window_is_refused():
    """Its window would slide over the holes that shorter attempts of other rows leave."""
    model = copy.deepcopy(bare_model("gemma2"))
    model.config.sliding_window = 12
    with pytest.raises(ValueError, match="does not fit the model's 12"):
        converse(TorchEngine(model, EOS, PAD))


def test_the_whole_context_can_be_used():
    longest = max(map(len, PROMPTS))
    engine = TorchEngine(bare_model(), EOS, PAD, columns=longest + LIMIT - 1)
    assert tokens_of([converse_once(engine)]) == tokens_of(converse(engine_of(), turns=1))


def converse_once(engine: TorchEngine) -> Turn:
    done = engine.open(PROMPTS).sample(LIMIT, 1, row_seeds(len(PROMPTS), 1, 0))
    return [(list(prompt), out) for prompt, out in zip(PROMPTS, done, strict=True)]


# --- randomness ---------------------------------------------------------------------------------


def test_a_seed_gives_the_same_attempts():
    assert converse(engine_of(), seed=5) == converse(engine_of(), seed=5)
    assert tokens_of(converse(engine_of(), seed=5)) != tokens_of(converse(engine_of(), seed=6))


def test_copies_are_independent_draws():
    first = converse(engine_of(), [PROMPTS[1]], copies=16, turns=1)[0]
    assert len({tuple(out.tokens) for _, out in first}) > 4


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_retiring_rows_changes_no_token(monkeypatch, temperature):
    results = []
    for share in (0.0, torch_engine.RETIRE_AT, 2.0):  # at every token; as it is; never
        monkeypatch.setattr(torch_engine, "RETIRE_AT", share)
        results.append(converse(engine_of(), copies=4, turns=3, temperature=temperature))
    always, sometimes, never = results
    assert tokens_of(always) == tokens_of(sometimes) == tokens_of(never)
    for one, other in zip(chain(*always), chain(*never), strict=True):
        torch.testing.assert_close(one[1].logprobs, other[1].logprobs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spare", [0, 1, 1000])
def test_room_in_the_cache_changes_nothing(monkeypatch, spare):
    """Its slabs grow when they must, also while rows are retired."""
    usual = converse(engine_of(), copies=4, turns=3)
    monkeypatch.setattr(slab, "SPARE_COLUMNS", spare)
    assert converse(engine_of(), copies=4, turns=3) == usual


def test_a_row_does_not_depend_on_its_batch_mates():
    """The first rows with other rows beside them: longer prompts, other ends, other retirements."""
    own = PROMPTS[:2]
    record = converse(engine_of(), [*own, *PROMPTS[2:]], copies=2)
    for mates in ([], [[4] * 20, [3, 3]], [[8]] * 9):
        beside = converse(engine_of(), [*own, *mates], copies=2)
        for turn, other in zip(record, beside, strict=True):
            assert [out.tokens for _, out in turn[:4]] == [out.tokens for _, out in other[:4]]


# --- choosing a token ---------------------------------------------------------------------------

LOGITS = torch.tensor([0.3, -1.0, float("-inf"), 2.0, 0.0, -2.5])


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.0])
def test_choices_follow_the_distribution(temperature):
    draws = 20_000
    uniform = torch.rand(draws, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = choose(LOGITS.expand(draws, -1), temperature, uniform)
    expected = (LOGITS / temperature).softmax(-1)
    possible = expected > 0
    counts = tokens.bincount(minlength=len(LOGITS))
    assert counts[~possible].sum() == 0
    wanted = expected.double() / expected.double().sum() * draws
    test = chisquare(counts[possible].double(), wanted[possible])
    assert test.pvalue > 1e-3
    torch.testing.assert_close(logprobs, expected.log()[tokens])


@pytest.mark.parametrize("impossible", [[0], [5], [0, 1, 4, 5], [1, 2, 3, 4, 5]])
def test_a_token_of_probability_zero_is_never_chosen(impossible):
    """Not even by the extreme draws."""
    logits = 3 * torch.randn((200, 6), generator=torch.Generator().manual_seed(0))
    logits[:, impossible] = float("-inf")
    for uniform in (0.0, 2.0**-24, 0.5, 1 - 2.0**-24):
        tokens, logprobs = choose(logits, 1.0, torch.full((200,), uniform))
        assert not set(tokens.tolist()) & set(impossible)
        assert torch.isfinite(logprobs).all()


def test_greedy_takes_the_most_likely_token_whatever_the_draw():
    tokens, logprobs = choose(LOGITS.expand(2, -1), 0.0, torch.tensor([0.0, 0.99]))
    assert tokens.tolist() == [3, 3]
    torch.testing.assert_close(logprobs, LOGITS.log_softmax(-1)[tokens])


def test_half_precision_logits_are_widened():
    logits = torch.randn((1, 4096), generator=torch.Generator().manual_seed(0))
    _, logprobs = choose(logits.bfloat16(), 1.0, torch.tensor([0.7]))
    assert logprobs.dtype == torch.float32


def test_the_engine_samples_from_the_models_distribution():
    assert_follows_the_model(engine_of(), bare_model())
