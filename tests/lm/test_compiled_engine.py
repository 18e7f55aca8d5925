"""Compiled token steps against the engine that they are a faster way of."""

import copy
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from conversations import (
    LIMIT,
    PROMPTS,
    Turn,
    assert_follows_the_model,
    converse,
    row_seeds,
    tokens_of,
)
from selfcorrect.lm import fixed
from selfcorrect.lm.compiled_engine import CompiledEngine
from selfcorrect.lm.fixed import FixedCache, rounded_up
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.spec import LoRA
from selfcorrect.validation import ConfigError
from tiny import EOS, FAMILIES, PAD, bare_model, language_model, moved_adapter


def compiled(family: str = "llama") -> CompiledEngine:
    return CompiledEngine(bare_model(family), EOS, PAD)


def plain(family: str = "llama") -> TorchEngine:
    return TorchEngine(bare_model(family), EOS, PAD)


def assert_same(record: list[Turn], other: list[Turn]) -> None:
    assert tokens_of(record) == tokens_of(other)
    for (_, one), (_, two) in zip(chain(*record), chain(*other), strict=True):
        assert one.truncated == two.truncated
        assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4)


# --- the same attempts --------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_steps_of_generated_code_write_the_same():
    """Not traced only: by the code that users run on a CPU."""
    torch._dynamo.reset()
    engine = compiled()
    for temperature in (0.0, 0.7):
        record = converse(engine, copies=4, turns=3, temperature=temperature)
        assert {out.truncated for turn in record for _, out in turn} == {True, False}
        assert_same(record, converse(plain(), copies=4, turns=3, temperature=temperature))


@pytest.mark.parametrize(
    ("family", "attention"), [*((family, "eager") for family in FAMILIES), ("qwen2", "sdpa")]
)
def test_every_family_writes_the_same(traced_only, family, attention):
    model = copy.deepcopy(bare_model(family))
    model.set_attn_implementation(attention)
    engines = [made(model, EOS, PAD) for made in (CompiledEngine, TorchEngine)]
    for temperature in (0.0, 1.0):
        records = [converse(each, copies=4, turns=3, temperature=temperature) for each in engines]
        assert_same(*records)


def test_the_models_distribution_is_sampled_from(traced_only):
    assert_follows_the_model(compiled(), bare_model())


def test_weights_are_those_of_the_moment(traced_only):
    """Updated in place as an optimiser does, or another model's in its place."""
    model = copy.deepcopy(bare_model())
    engine = CompiledEngine(model, EOS, PAD)
    before = converse(engine)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    after = converse(engine)
    assert tokens_of(after) != tokens_of(before)
    assert_same(after, converse(TorchEngine(model, EOS, PAD)))
    engine.model = bare_model(seed=11)
    assert_same(converse(engine), converse(TorchEngine(engine.model, EOS, PAD)))


def test_an_adapter_is_sampled_from(traced_only):
    lm = moved_adapter(language_model(scale=4.0), LoRA(rank=3, alpha=6.0, modules="all-linear"))
    records = [
        converse(made(lm.model, lm.chat.eos, lm.chat.pad), [[3, 4], [5]], copies=3)
        for made in (CompiledEngine, TorchEngine)
    ]
    assert_same(*records)


@pytest.mark.parametrize("step", [4, 32])
def test_columns_of_any_multiple_write_the_same(traced_only, monkeypatch, step):
    """The cache's memory grows between attempts and within the engine's life."""
    monkeypatch.setattr(fixed, "COLUMN_STEP", step)
    engine = compiled()
    for copies, prompts in ((4, PROMPTS), (1, [[5] * 40, [3]]), (8, PROMPTS[:3])):
        record = converse(engine, prompts, copies=copies, turns=3)
        assert_same(record, converse(plain(), prompts, copies=copies, turns=3))


# --- what makes it fast -------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_takes_nothing_from_the_cpu_but_sizes(monkeypatch, family):
    """What comes from there is in no CUDA graph: a model's own numbers must not be inputs."""
    seen = []

    def watching(graph, inputs):
        seen.extend(each for each in inputs if isinstance(each, torch.Tensor))
        return graph.forward

    torch._dynamo.reset()
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda step, *, mode, **how: real(step, backend=watching, **how)
    )
    converse(compiled(family), turns=1)
    assert seen
    assert not [each for each in seen if each.dtype == torch.float64]


def test_batches_and_lengths_of_all_kinds_share_a_program(traced_only):
    longer = CompiledEngine(bare_model(), EOS, PAD, columns=1000)
    before = counters["stats"]["unique_graphs"]
    for rows in (2, 3, 5, 8, 13, 32, 100):
        converse(longer, [PROMPTS[1]], copies=rows)
    for length in (60, 125, 300):
        record = converse(longer, [[5] * length, [6]], copies=3)
        assert_same(record, converse(TorchEngine(bare_model(), EOS, PAD, columns=1000),
                                     [[5] * length, [6]], copies=3))  # fmt: skip
    # torch takes two sizes that are equal at first for one, and compiles anew when they are not.
    assert counters["stats"]["unique_graphs"] - before <= 2


def test_batches_lie_in_the_same_memory_and_shrink_by_halves(traced_only, monkeypatch):
    """A CUDA graph is recorded for an address and a shape."""
    engine, places, shapes = compiled(), set(), set()
    first = engine.cache.layers[0]
    read = CompiledEngine.step

    def watched(engine, tokens, mask, positions):
        places.add(first.keys.data_ptr())
        shapes.add((len(tokens), mask.shape[1]))
        assert first.keys.shape[0] == len(tokens) and first.keys.shape[2] == mask.shape[1]
        return read(engine, tokens, mask, positions)

    monkeypatch.setattr(CompiledEngine, "step", watched)
    for seed in range(4):
        converse(engine, [PROMPTS[4]], copies=40, turns=3, seed=seed)
    assert len(places) == 1
    assert shapes <= {(rows, 128) for rows in (40, 20, 10, 5, 3, 2)}
    assert len(shapes) > 2, "the case should hold rows that end early"


def test_a_cache_holds_what_it_is_given_and_zeros():
    """Whatever was there before: what is masked must be finite."""
    cache = FixedCache(1, torch.device("cpu"))
    (layer,) = cache.layers
    for rows, columns, filled in ((4, 8, 5), (2, 8, 8), (3, 6, 1), (8, 16, 3)):
        # Values may have another head size than keys (MLA).
        given = [torch.full((rows, 2, filled, 3), float("nan")), torch.rand(rows, 2, filled, 5)]
        held = layer.hold(*given, columns)
        for one, other in zip(held, given, strict=True):
            assert one.shape == (rows, 2, columns, other.shape[3])
            assert torch.equal(one[:, :, :filled].nan_to_num(7), other.nan_to_num(7))
            assert (one[:, :, filled:] == 0).all()


def test_columns_are_rounded_up():
    assert [rounded_up(columns) for columns in (1, 128, 129)] == [128, 128, 256]


# --- limits -------------------------------------------------------------------------------------


def test_the_whole_context_can_be_used_and_no_more(traced_only):
    longest = max(map(len, PROMPTS))
    enough = CompiledEngine(bare_model(), EOS, PAD, columns=longest + LIMIT - 1)
    assert_same(converse(compiled(), turns=1), [record_of(enough)])
    with pytest.raises(ConfigError, match=r"does not fit the model's 12.*max_new_tokens"):
        converse(CompiledEngine(bare_model(), EOS, PAD, columns=12))


def record_of(engine: CompiledEngine) -> Turn:
    done = engine.open(PROMPTS).sample(LIMIT, 1, row_seeds(len(PROMPTS), 1, 0))
    return [(list(prompt), out) for prompt, out in zip(PROMPTS, done, strict=True)]


def test_a_machine_without_a_compiler_is_told(tmp_path):
    """In a process of its own: torch remembers what it found out about compilers."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = {**os.environ, "CXX": "no-such-compiler", "PYTHONPATH": path}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path)  # nothing compiled before
    script = "from tiny import *; from conversations import *; from selfcorrect.lm.compiled_engine "
    script += "import CompiledEngine; converse(CompiledEngine(bare_model(), EOS, PAD))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert "ConfigError: generation.engine: compiled, but torch.compile does not take" in last
    assert "It needs a C++ compiler (g++; " in last


@pytest.mark.parametrize("name", ["TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE"])
def test_an_environment_in_which_nothing_is_compiled_is_told(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=f"{name}=1"):
        compiled()


def test_a_model_that_is_not_one_graph_is_told(traced_only):
    model = copy.deepcopy(bare_model())
    model.model.layers[0].register_forward_hook(lambda *_: torch._dynamo.graph_break())
    with pytest.raises(ConfigError, match="does not take LlamaForCausalLM here"):
        converse(CompiledEngine(model, EOS, PAD))
