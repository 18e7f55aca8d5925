"""The memory plan's formulas against what autograd, the cache and the optimiser really hold."""

import copy
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, Qwen2Config

from live import LiveBytes
from selfcorrect.learning.optimiser import Optimiser
from selfcorrect.learning.policy_gradient import token_statistics
from selfcorrect.lm.batch import TraceBatch, continuation_states, recomputed_states
from selfcorrect.lm.compiled_engine import CompiledEngine
from selfcorrect.lm.memory.activations import Precision, Reading, head, kept, passing
from selfcorrect.lm.memory.kv_cache import (
    cache_bytes,
    conversation_columns,
    fixed_cache_bytes,
    slab_bytes,
    slab_columns,
)
from selfcorrect.lm.memory.needs import Pass, _sampling
from selfcorrect.lm.memory.shape import Shape, shape_of
from selfcorrect.lm.memory.terms import Setting
from selfcorrect.lm.models import with_adapter
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.spec import Generation, LoRA

VOCABULARY = 500
_SHAPE = {
    "vocab_size": VOCABULARY, "hidden_size": 192, "intermediate_size": 512,
    "num_attention_heads": 6, "num_hidden_layers": 4, "max_position_embeddings": 1024,
    "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
CONFIGS = {
    "llama": LlamaConfig(**_SHAPE, num_key_value_heads=6, tie_word_embeddings=False),
    "qwen2": Qwen2Config(**_SHAPE, num_key_value_heads=2, tie_word_embeddings=True),
    "gemma2": Gemma2Config(**_SHAPE, num_key_value_heads=2, head_dim=32),
}
CASES = [(family, attention) for family, attention in product(CONFIGS, ("sdpa", "eager"))
         if (family, attention) != ("gemma2", "sdpa")]  # fmt: skip
SIZES = [(2, 4, 24, 150), (1, 4, 150, 120)]  # prompts, traces of each, tokens of both parts
DTYPES = [torch.float32, torch.bfloat16]
ADAPTER = LoRA(rank=8, alpha=16.0, modules="all-linear")


@cache
def model_of(family: str, attention: str, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIGS[family])  # which notes the implementation
    made = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return made.to(dtype).eval()


def batch(prompts: int, copies: int, prompt: int, tokens: int) -> TraceBatch:
    rows = prompts * copies
    return TraceBatch(
        prompts=torch.randint(2, VOCABULARY, (prompts, prompt)),
        prompt_mask=torch.ones(prompts, prompt, dtype=torch.long),
        prompt_of=torch.arange(prompts).repeat_interleave(copies),
        tokens=torch.randint(2, VOCABULARY, (rows, tokens)),
        mask=torch.ones(rows, tokens, dtype=torch.long),
        turns=torch.ones(rows, tokens, dtype=torch.long),
        logprobs=torch.zeros(rows, tokens),
    )


def readings(prompts: int, copies: int, prompt: int, tokens: int) -> list[Reading]:
    rows, length = prompts * copies, prompt + tokens - 1
    return [Reading(prompts, prompt, prompt), Reading(rows, tokens - 1, length)]


def saved_bytes(model: Any, of: TraceBatch) -> int:
    """What autograd saves for the way back, each storage once, parameters left out."""
    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    storages: dict[int, Any] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        continuation_states(model, of)
    return sum(storage.nbytes() for storage in storages.values())


def peak_bytes(model: Any, of: TraceBatch, recompute: bool) -> int:
    """The most that is alive at a time forth and back, the weights' gradients included."""
    model.zero_grad()
    read = recomputed_states if recompute else continuation_states
    with LiveBytes() as live:
        read(model, of).sum().backward()
    return live.peak


def near(plan: int, real: int) -> bool:
    """Within a quarter, and never more than a tenth too low."""
    return 0.9 * real <= plan <= 1.25 * real


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("family", "attention"), CASES)
def test_activations_are_what_autograd_saves(family, attention, dtype, size):
    model = model_of(family, attention, dtype)
    precision = Precision(dtype.itemsize, dtype.itemsize, attention)
    plan = kept(shape_of(CONFIGS[family]), precision, readings(*size))
    assert near(plan, saved_bytes(model, batch(*size)))


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("family", "attention"), CASES)
def test_activations_cover_the_peak_forth_and_back(family, attention, dtype, size, recompute):
    model = model_of(family, attention, dtype)
    precision = Precision(dtype.itemsize, dtype.itemsize, attention)
    whole = readings(*size)[-1]
    reads = [whole._replace(new=whole.columns)] if recompute else readings(*size)
    shape = shape_of(CONFIGS[family])
    plan = kept(shape, precision, reads, recompute=recompute) + shape.trained * dtype.itemsize
    real = peak_bytes(model, batch(*size), recompute)
    assert near(plan, real)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_adapters_keep_more(dtype):
    config = copy.deepcopy(CONFIGS["qwen2"])
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").to(dtype)
    model = with_adapter(model, ADAPTER).eval()
    shape = shape_of(config, ADAPTER)
    assert shape.trained == sum(each.numel() for each in model.parameters() if each.requires_grad)
    precision = Precision(dtype.itemsize, dtype.itemsize, "sdpa")
    real = saved_bytes(model, batch(*SIZES[0]))
    assert near(kept(shape, precision, readings(*SIZES[0])), real)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("family", "attention"), CASES)
def test_a_reference_in_passing(family, attention, dtype, size):
    model, shape = model_of(family, attention, dtype), shape_of(CONFIGS[family])
    with torch.no_grad(), LiveBytes() as live:
        continuation_states(model, batch(*size))
    reads = readings(*size)
    precision = Precision(dtype.itemsize, dtype.itemsize, attention)
    plan = passing(shape, precision, reads[1]) + sum(
        slab_bytes(shape, dtype.itemsize, read.rows, read.columns) for read in reads
    )
    assert 0.9 * live.peak <= plan <= 2 * live.peak


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_heads(dtype):
    positions, hidden = 300, 4
    shape = shape_of(CONFIGS["llama"])
    heads = [torch.nn.Linear(hidden, VOCABULARY, bias=False).to(dtype) for _ in range(2)]
    states = torch.randn(positions, hidden, dtype=dtype, requires_grad=True)
    tokens = torch.zeros(positions, dtype=torch.long)
    with LiveBytes() as live:
        reference = heads[1](states).detach()
        found = token_statistics(heads[0](states), reference, tokens, 1.0, "exact")
        (found.logprobs + found.kl).sum().backward()
    assert near(head(shape, dtype.itemsize, positions), live.peak)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("lora", [None, ADAPTER], ids=["all weights", "adapter"])
def test_parameters_are_counted_without_weights(family, lora):
    model = AutoModelForCausalLM.from_config(copy.deepcopy(CONFIGS[family]))
    model = with_adapter(model, lora) if lora else model
    shape = shape_of(CONFIGS[family], lora)
    assert shape.parameters == sum(each.numel() for each in model.parameters())
    assert shape.trained == sum(each.numel() for each in model.parameters() if each.requires_grad)


def layers_of(session: Any) -> Iterator[torch.Tensor]:
    for layer in session._cache.layers:
        yield from layer.slabs


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize(("attempts", "new"), [(1, 5), (2, 30), (3, 50)])
def test_slabs_are_as_large_as_the_cache_really_gets(family, attempts, new):
    model = model_of(family, "eager", torch.float32)
    prompts, copies, prompt, bridge = 2, 3, 11, 4
    session = TorchEngine(model, eos=-1, pad=0).open(
        [[5] * prompt] * prompts, copies
    )  # no row ends
    rows = prompts * copies
    for turn in range(attempts):
        if turn:
            session.extend([[7] * bridge] * rows)
        session.sample(new, 1.0, list(range(rows)))
    shape: Shape = shape_of(CONFIGS[family])
    real = sum(slab.untyped_storage().nbytes() for slab in layers_of(session))
    columns = slab_columns(prompt, attempts, new, bridge)
    assert slab_bytes(shape, 4, rows, columns) == real
    assert session._mask.shape[1] == conversation_columns(prompt, attempts, new, bridge)


@pytest.mark.parametrize("family", CONFIGS)
def test_conversations_that_begin_with_given_attempts_are_read_whole(family):
    problems, copies, prompt, bridge, new = 2, 8, 60, 10, 80
    rows, begin = problems * copies, prompt + new + bridge
    engine = TorchEngine(model_of(family, "eager", torch.float32), eos=-1, pad=0)
    with LiveBytes() as live:
        session = engine.open([[5] * begin] * rows)
    generation = Generation(engine="torch", cache_mb=1, max_new_tokens=new, batch_size=rows)
    shape, of = shape_of(CONFIGS[family]), Pass(problems, copies, 2, 2, given=True)
    setting = Setting(lambda _: shape, prompt, bridge, generation)
    planned = _sampling(shape, Precision(4, 4, "eager"), setting, of)
    slabs = sum(slab.untyped_storage().nbytes() for slab in layers_of(session))
    at_once = slabs + planned["reading"] + planned["sampling logits"]
    assert 0.9 * live.peak <= at_once <= 1.5 * live.peak
    session.sample(new, 1.0, list(range(rows)))
    slabs = sum(slab.untyped_storage().nbytes() for slab in layers_of(session))
    assert slabs <= planned["KV cache"] <= 2 * slabs


def test_rows_that_go_on_alone_fit_beside_the_others():
    """Some rows end by themselves: the peak of all slabs, working copies included."""
    model, shape = model_of("llama", "eager", torch.float32), shape_of(CONFIGS["llama"])
    engine = TorchEngine(model, eos=3, pad=0)
    with LiveBytes() as live:
        engine.open([[5] * 11] * 4, 8).sample(150, 1.0, list(range(32)))
    most = cache_bytes(shape, 4, 32, slab_columns(11, 1, 150, 4), reread=False)
    slabs = slab_bytes(shape, 4, 32, slab_columns(11, 1, 150, 4))
    assert slabs < live.peak < 1.1 * most


@pytest.mark.parametrize(("prompt", "bridge", "new"), [(11, 4, 150), (300, 40, 179)])
def test_compiled_steps_take_a_cache_of_their_own(monkeypatch, prompt, bridge, new):
    """With all columns from the start, beside the slabs; a compiler cannot be watched."""
    monkeypatch.setattr(torch, "compile", lambda step, **_: step)
    model, shape = model_of("llama", "eager", torch.float32), shape_of(CONFIGS["llama"])
    rows = 32
    engine = CompiledEngine(model, eos=-1, pad=0)
    with LiveBytes() as live:
        session = engine.open([[5] * prompt] * 4, 8)
        session.sample(new, 1.0, list(range(rows)))
        session.extend([[7] * bridge] * rows)
        session.sample(new, 1.0, list(range(rows)))
    fixed = fixed_cache_bytes(shape, 4, rows, conversation_columns(prompt, 2, new, bridge))
    assert sum(each.nbytes for of in engine.cache.layers for each in of._memory) == fixed
    columns = slab_columns(prompt, 2, new, bridge, fixed=True)
    slabs = sum(slab.untyped_storage().nbytes() for slab in layers_of(session))
    assert slabs == slab_bytes(shape, 4, rows, columns)
    most = fixed + cache_bytes(shape, 4, rows, columns, reread=False, fixed=True)
    assert fixed < live.peak < 1.1 * most


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_optimiser_holds_what_is_planned(dtype):
    """Two moments; of bfloat16 weights also copies, and gradients in float32 beside their own."""
    weights = [torch.nn.Parameter(torch.randn(100, 50).to(dtype)) for _ in range(3)]
    count = sum(each.numel() for each in weights)
    optimiser = Optimiser(weights, 1e-3)
    sum((each * each).sum() for each in weights).backward()
    optimiser.accumulate()
    gradients = sum(each.nbytes for each in optimiser.gradients())
    optimiser.step(1.0)
    state = optimiser.state_dict()
    moments = [each for of in state["adam"]["state"].values() for each in of.values() if each.dim()]
    own = {id(weight) for weight in weights}
    copies = [each for each in optimiser.copies if id(each) not in own]
    held = sum(each.nbytes for each in [*moments, *copies])
    assert held == count * 4 * (2 if dtype is torch.float32 else 3)
    written = sum(each.nbytes for each in [*moments, *state["copies"]])
    assert written == count * 4 * 3  # the weights in full precision are among them
    assert gradients == count * 4
