"""The vLLM engine, with vLLM itself, against the built-in engine and models read plainly."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

pytest.importorskip("vllm", reason="vLLM is not installed here: `make test-vllm`")

from conversations import (
    INSTRUCTION,
    LIMIT,
    PROMPTS,
    assert_follows_the_model,
    converse,
    row_seeds,
    tokens_of,
)
from selfcorrect.lm.engine import Completion
from selfcorrect.lm.merged import merged_weights
from selfcorrect.lm.models import LanguageModel, adapted
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.lm.vllm_engine import BATCH, BLOCK, VLLMEngine
from selfcorrect.spec import LoRA
from selfcorrect.validation import ConfigError
from tiny import EOS, PAD, bare_model, plain_logprobs

WIDTH = 128  # heads of 32, the smallest that vLLM knows on a CPU
FAMILIES = ("llama", "llama-gqa", "qwen2")
CACHE_MB = 16
CACHE_TOKENS = (CACHE_MB << 20) // (2 * 2 * WIDTH * 4)  # keys and values of 2 layers, in 4 bytes
LONG = [[2 + (place * place + row) % 7 for place in range(2 * BLOCK)] for row in range(4)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of each family."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for family in FAMILIES:
        bare_model(family, width=WIDTH).save_pretrained(folder / family)
    return folder


@pytest.fixture(scope="module")
def engines(checkpoints: Path) -> Any:
    """Makes an engine on a checkpoint of a family, one for all tests: leave its weights alone."""
    return cache(lambda family: engine_on(checkpoints / family))


@pytest.fixture(scope="module")
def engine(engines: Any) -> VLLMEngine:
    made: VLLMEngine = engines("llama")
    return made


def engine_on(folder: Path) -> VLLMEngine:
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa").eval()
    return VLLMEngine(model, EOS, CACHE_MB)


def torch_of(engine: VLLMEngine) -> TorchEngine:
    """The built-in engine on the same model."""
    return TorchEngine(engine.model, EOS, PAD)


def greedy(engine: Any) -> list[list[list[int]]]:
    return tokens_of(converse(engine, turns=3, temperature=0))


def cached_tokens(engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets the number of cached tokens of every request from now on."""
    counts: list[int] = []
    generate = engine.llm.generate

    def watched(*arguments: Any, **more: Any) -> Any:
        outputs = generate(*arguments, **more)
        counts.extend(output.num_cached_tokens for output in outputs)
        return outputs

    monkeypatch.setattr(engine.llm, "generate", watched)
    return counts


# --- what is sampled ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_conversations_equal_the_built_in_engines(engines, family):
    engine = engines(family)
    record = converse(engine, turns=3, temperature=0)
    assert {out.truncated for turn in record for _, out in turn} == {True, False}
    assert tokens_of(record) == greedy(torch_of(engine))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_logprobs_equal_plain_recomputation(engines, family, temperature):
    engine = engines(family)
    for turn in converse(engine, copies=8, turns=3, temperature=temperature):
        lengths = {len(out.tokens) for _, out in turn}
        assert len(lengths) > 2, "attempts of one length would test nothing"
        for context, out in turn:
            plain = plain_logprobs(engine.model, context, out.tokens, temperature)
            torch.testing.assert_close(torch.tensor(out.logprobs), plain, rtol=0, atol=1e-4)


def test_greedy_logprobs_are_those_of_temperature_one(engine):
    for context, out in converse(engine, temperature=0)[1]:
        plain = plain_logprobs(engine.model, context, out.tokens, 1.0)
        torch.testing.assert_close(torch.tensor(out.logprobs), plain, rtol=0, atol=1e-4)


def test_an_attempt_ends_at_its_eos_or_is_truncated(engine):
    ends = set()
    for turn in converse(engine, copies=8):
        for _, out in turn:
            ends.add(out.truncated)
            assert EOS not in out.tokens[:-1]
            assert out.truncated == (out.tokens[-1] != EOS)
            assert len(out.tokens) == LIMIT if out.truncated else len(out.tokens) <= LIMIT
            assert len(out.logprobs) == len(out.tokens)
    assert ends == {True, False}


def test_the_engine_samples_from_the_models_distribution(engine):
    assert_follows_the_model(engine, engine.model)


def test_another_token_than_the_checkpoints_eos_can_end_an_attempt(engine, monkeypatch):
    monkeypatch.setattr(engine, "eos", 4)
    attempts = [out.tokens for turn in converse(engine, copies=8) for _, out in turn]
    assert any(tokens[-1] == 4 for tokens in attempts)
    assert any(EOS in tokens[:-1] for tokens in attempts)
    assert not any(4 in tokens[:-1] for tokens in attempts)


# --- randomness ---------------------------------------------------------------------------------


def test_a_seed_gives_the_same_attempts(engine):
    assert tokens_of(converse(engine, seed=5)) == tokens_of(converse(engine, seed=5))
    assert tokens_of(converse(engine, seed=5)) != tokens_of(converse(engine, seed=6))


def test_copies_are_independent_draws(engine):
    first = converse(engine, [PROMPTS[1]], copies=16, turns=1)[0]
    assert len({tuple(out.tokens) for _, out in first}) > 4


def test_a_row_does_not_depend_on_its_batch_mates(engine):
    own = PROMPTS[:2]
    record = converse(engine, [*own, *PROMPTS[2:]], copies=2)
    for mates in ([], [[4] * 20, [3, 3]], [[8]] * 9):
        beside = converse(engine, [*own, *mates], copies=2)
        for turn, other in zip(record, beside, strict=True):
            assert [out.tokens for _, out in turn[:4]] == [out.tokens for _, out in other[:4]]


def test_more_rows_than_fit_into_the_cache_or_into_one_batch(engine):
    """Some are read late, some are thrown out and read again; none becomes another."""
    assert 200 * len(LONG[0]) > max(BATCH, CACHE_TOKENS)
    prompts = [[2 + (place * place * row + place) % 7 for place in range(2 * BLOCK)]
               for row in range(200)]  # fmt: skip
    seeds = row_seeds(len(prompts), 3)
    together = engine.open(prompts).sample(LIMIT, 1.0, seeds)
    for row in (0, 1, 100, 199):
        engine.refresh()  # empties the prefix cache
        (alone,) = engine.open([prompts[row]]).sample(LIMIT, 1.0, seeds[row : row + 1])
        assert alone.tokens == together[row].tokens
    for row in range(0, 200, 7):
        plain = plain_logprobs(engine.model, prompts[row], together[row].tokens, 1.0)
        torch.testing.assert_close(torch.tensor(together[row].logprobs), plain, rtol=0, atol=1e-4)


# --- the context --------------------------------------------------------------------------------


def test_a_conversation_may_fill_the_context_and_no_more(engine):
    space = engine.context - LIMIT
    full = engine.open([[3] * space]).sample(LIMIT, 1.0, [2])
    assert full == engine.open([[3] * space]).sample(LIMIT, 1.0, [2])
    for length in (engine.context - 1, engine.context, engine.context + 5):
        session = engine.open([[3] * length] * 8)
        with pytest.raises(ConfigError, match=r"does not fit the model's 96.*max_new_tokens"):
            session.sample(LIMIT, 1.0, range(8))


def test_a_cache_too_small_for_the_context_is_refused(tmp_path):
    model = copy.deepcopy(bare_model("llama", width=WIDTH))
    model.config.max_position_embeddings = 1 << 16
    model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"generation\.cache_mb: 16 .*65536"):
        engine_on(tmp_path)


# --- the prefix cache ---------------------------------------------------------------------------


def two_turns(engine: Any) -> list[list[Completion]]:
    session = engine.open(LONG)
    first = session.sample(LIMIT, 0.0, row_seeds(len(LONG), 0))
    session.extend([INSTRUCTION[0 if out.truncated else 1 :] for out in first])
    return [first, session.sample(LIMIT, 0.0, row_seeds(len(LONG), 1))]


def test_the_second_turn_reads_the_first_from_the_cache(engine, monkeypatch):
    engine.refresh()
    counts = cached_tokens(engine, monkeypatch)
    warm = two_turns(engine)
    assert counts == [0] * len(LONG) + [2 * BLOCK] * len(LONG)
    cold = torch_of(engine)
    for turn, others in zip(warm, two_turns(cold), strict=True):
        for one, other in zip(turn, others, strict=True):
            assert one.tokens == other.tokens
            torch.testing.assert_close(one.logprobs, other.logprobs, rtol=0, atol=1e-4)


def test_copies_share_their_prompt(engine, monkeypatch):
    engine.refresh()
    counts = cached_tokens(engine, monkeypatch)
    engine.open([LONG[0] + [3]], copies=8).sample(LIMIT, 1.0, range(8))
    assert sorted(counts) == [0] + [2 * BLOCK] * 7


# --- new weights --------------------------------------------------------------------------------


def move(model: Any, seed: int) -> None:
    """Other weights, in place, as an update makes them."""
    other = bare_model("llama", seed=seed, width=WIDTH)
    model.load_state_dict(other.state_dict())


def test_new_weights_are_sampled_from_after_a_refresh(checkpoints):
    engine = engine_on(checkpoints / "llama")
    old = greedy(engine)
    for seed in (6, 7):
        before = greedy(engine)
        move(engine.model, seed)
        new = greedy(torch_of(engine))
        assert new != before
        assert greedy(engine) == before, "vLLM has a copy"
        engine.refresh()
        assert greedy(engine) == new
    move(engine.model, 5)
    engine.refresh()
    assert greedy(engine) == old
    two_turns(engine)  # fills the cache
    move(engine.model, 6)
    engine.refresh()
    assert two_turns(engine)[1][0].tokens == two_turns(torch_of(engine))[1][0].tokens


def test_adapters_are_merged_in_place(checkpoints):
    model = AutoModelForCausalLM.from_pretrained(checkpoints / "llama").eval()
    base = greedy(TorchEngine(model, EOS, PAD))
    lora = LoRA(rank=4, alpha=8.0, modules="all-linear")
    model = adapted(LanguageModel(model, None), lora, seed=0).model  # type: ignore[arg-type]
    engine = VLLMEngine(model, EOS, CACHE_MB)
    assert greedy(engine) == base, "a new adapter changes nothing"
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn_like(parameter))
    engine.refresh()
    assert greedy(engine) == greedy(torch_of(engine)) != base
    for context, out in converse(engine)[1]:
        plain = plain_logprobs(model, context, out.tokens, 1.0)
        torch.testing.assert_close(torch.tensor(out.logprobs), plain, rtol=0, atol=1e-4)


def test_a_refresh_leaves_the_model_as_it_is(checkpoints):
    engine = engine_on(checkpoints / "llama")
    before = copy.deepcopy(dict(merged_weights(engine.model)))
    engine.refresh()
    after = dict(merged_weights(engine.model))
    assert all(torch.equal(before[name], after[name]) for name in before)
