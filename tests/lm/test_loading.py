"""How a checkpoint becomes a model: precision, attention, adapters, and what cannot be loaded."""

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, T5Config, T5ForConditionalGeneration

import toy_checkpoints
from selfcorrect import provenance
from selfcorrect.files import FileProblem
from selfcorrect.lm import models
from selfcorrect.lm.batch import TraceBatch, collate, continuation_states
from selfcorrect.lm.head import logits_of
from selfcorrect.lm.models import PLAIN, LanguageModel, adapted, load
from selfcorrect.lm.reference import Reference
from selfcorrect.spec import Loading, LoRA
from selfcorrect.validation import ConfigError
from tiny import (
    attempt,
    language_model,
    moved_adapter,
    same_weights,
    save_checkpoint,
    trace,
    weights,
)

LORA = LoRA(rank=4, alpha=8.0, modules="all-linear")


def loading(**changes: Any) -> Loading:
    return PLAIN.model_copy(update=changes)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """An ordinary Qwen2 checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder)
    return folder


def tuned(lm: LanguageModel) -> LanguageModel:
    return moved_adapter(lm, LORA, seed=1)


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = lm.model(torch.tensor([[5, 6, 7, 8]]), use_cache=False).logits
    return found.float()


# --- precision and attention --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_in_the_dtype_that_is_asked_for(checkpoint, dtype):
    lm = load(checkpoint, loading(dtype=dtype))
    assert {parameter.dtype for parameter in lm.model.parameters()} == {getattr(torch, dtype)}


def test_attention_is_the_one_that_is_asked_for(checkpoint):
    made = [load(checkpoint, loading(attention=name)) for name in ("sdpa", "eager")]
    assert [lm.model.config._attn_implementation for lm in made] == ["sdpa", "eager"]
    torch.testing.assert_close(*map(logits, made))


def test_attention_that_a_model_does_not_have_is_named(tmp_path):
    toy_checkpoints.save(tmp_path, toy_checkpoints.solution, "gemma2", steps=0)
    assert torch.isfinite(logits(load(tmp_path))).all()
    with pytest.raises(FileProblem, match=r"Gemma2.*Set `model.attention` to eager or null\.$"):
        load(tmp_path, loading(attention="sdpa"))


def test_attention_that_is_not_installed_is_named(checkpoint):
    with pytest.raises(FileProblem, match=r"Set `model.attention` to sdpa"):
        load(checkpoint, loading(attention="flash_attention_2"))


def test_there_is_no_gpu_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"compute.device: cuda, but torch finds no GPU"):
        models.prepare_process(device="cuda")


# --- adapters -----------------------------------------------------------------------------------


def test_a_fresh_adapter_changes_nothing_and_is_all_that_is_trained(checkpoint):
    base = load(checkpoint)
    made = adapted(load(checkpoint), LORA, seed=0)
    assert torch.equal(logits(base), logits(made))
    trained = [name for name, p in made.model.named_parameters() if p.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    assert not any("lm_head" in name or "embed" in name for name in trained)


def test_an_adapter_is_drawn_from_its_seed(checkpoint):
    one, same, other = (weights(adapted(load(checkpoint), LORA, seed)) for seed in (0, 0, 1))
    assert same_weights(one, same)
    assert not same_weights(one, other)


def test_a_saved_adapter_is_an_ordinary_one_on_its_base(checkpoint, tmp_path):
    made = tuned(load(checkpoint))
    models.save(made, tmp_path / "adapter", {})
    folder = tmp_path / "adapter"
    assert not (folder / "model.safetensors").exists()
    settings = json.loads((folder / models.ADAPTER).read_text())
    assert settings["base_model_name_or_path"] == str(checkpoint)
    again = load(folder)
    assert torch.equal(logits(made), logits(again))
    assert not torch.equal(logits(made), logits(load(checkpoint)))
    theirs = AutoPeftModelForCausalLM.from_pretrained(folder)
    assert torch.equal(logits(made), logits(LanguageModel(theirs.eval(), made.chat)))


def test_training_goes_on_with_the_adapter_that_is_there(checkpoint, tmp_path):
    made = tuned(load(checkpoint))
    models.save(made, tmp_path / "adapter", {})
    again = adapted(load(tmp_path / "adapter"), LORA, seed=99)
    assert torch.equal(logits(made), logits(again))
    trained = [name for name, p in again.model.named_parameters() if p.requires_grad]
    assert trained == [name for name, p in made.model.named_parameters() if p.requires_grad]


def test_an_adapter_of_a_bfloat16_base_is_in_float32(checkpoint):
    made = adapted(load(checkpoint, loading(dtype="bfloat16")), LORA, seed=0)
    assert {p.dtype for p in made.model.parameters() if p.requires_grad} == {torch.float32}
    assert torch.isfinite(logits(made)).all()


def test_layers_that_are_not_there_are_named(checkpoint):
    lora = LoRA(rank=4, alpha=8.0, modules=("no_such_layer",))
    with pytest.raises(ConfigError, match=r"^model.lora.modules: .*no_such_layer"):
        adapted(load(checkpoint), lora, seed=0)


def test_an_adapter_whose_base_is_gone_is_named(checkpoint, tmp_path):
    models.save(tuned(load(checkpoint)), tmp_path / "adapter", {})
    path = tmp_path / "adapter" / models.ADAPTER
    path.write_text(path.read_text().replace(str(checkpoint), "/no/such/base"))
    (tmp_path / "adapter" / "provenance.json").unlink()
    with pytest.raises(FileProblem, match=r"cannot be loaded as a model.*/no/such/base"):
        load(tmp_path / "adapter")


def test_an_adapter_is_no_base(checkpoint, tmp_path):
    models.save(tuned(load(checkpoint)), tmp_path / "adapter", {})
    models.check_base(str(checkpoint), None, "math")
    with pytest.raises(ConfigError, match=r"^tasks.math.model.path: .*adapter.*merge_and_unload"):
        models.check_base(str(tmp_path / "adapter"), None, "math")


# --- models on the Hub --------------------------------------------------------------------------

COMMIT = "0123456789" * 4


@pytest.fixture
def on_the_hub(checkpoint, tmp_path, monkeypatch) -> str:
    """The name of a model on the Hub, as it lies in the cache once it was fetched."""
    model = tmp_path / "hub/models--some--model"
    (model / "refs").mkdir(parents=True)
    (model / "refs/main").write_text(COMMIT)
    shutil.copytree(checkpoint, model / "snapshots" / COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return "some/model"


def test_the_commit_that_was_loaded_is_recorded(on_the_hub, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_commits", {})
    described = partial(provenance.describe, loading(), provenance.Stopwatch())
    load(checkpoint)
    assert described()["models"] == {}
    assert load(on_the_hub).model.config._commit_hash == COMMIT, "vLLM is told so"
    assert described()["models"] == {on_the_hub: COMMIT}

    monkeypatch.setattr(provenance, "_commits", {})
    models.save(tuned(load(on_the_hub)), tmp_path / "adapter", {})
    monkeypatch.setattr(provenance, "_commits", {})
    load(tmp_path / "adapter")
    assert described()["models"] == {on_the_hub: COMMIT}, "of an adapter: its base's"


def test_an_adapter_on_the_hub_is_no_base(on_the_hub, checkpoint, tmp_path):
    models.check_base(on_the_hub, None, "math")
    models.save(tuned(load(checkpoint)), tmp_path / "adapter", {})
    snapshot = tmp_path / f"hub/models--some--model/snapshots/{COMMIT}"
    shutil.copy(tmp_path / "adapter" / models.ADAPTER, snapshot)
    with pytest.raises(ConfigError, match=r"^tasks.math.model.path: some/model is an adapter"):
        models.check_base(on_the_hub, None, "math")


# --- the reference ------------------------------------------------------------------------------


def batch() -> TraceBatch:
    return collate([trace("p", attempt([5, 6, 7], [3, 4]), attempt([8, 9], [2]))], 0)


def test_the_policy_with_its_adapter_off_is_the_base(checkpoint):
    base, policy = load(checkpoint), tuned(load(checkpoint))
    fixed = Reference(None, policy.model)
    before = logits(policy)
    states = fixed.states(batch())
    with torch.no_grad():
        expected = continuation_states(base.model, batch())
        own = continuation_states(policy.model, batch())
    assert torch.equal(states, expected)
    assert torch.equal(fixed.logits(states), logits_of(base.model, expected))
    assert not torch.allclose(own, expected), "the adapter should do something"
    assert torch.equal(logits(policy), before), "and it is on again"
    assert any(p.requires_grad for p in policy.model.parameters())


def test_a_reference_elsewhere_says_the_same():
    """Its states travel to the policy's device and meet a copy of its head there."""
    policy, other = language_model(0).model, language_model(1).model
    beside = Reference(other, policy)
    # A device of another name, as there is no other one here.
    elsewhere = Reference(other, SimpleNamespace(device=torch.device("cpu", 0)))
    assert beside._head is other.get_output_embeddings()
    assert elsewhere._head is not other.get_output_embeddings()
    states = elsewhere.states(batch())
    assert torch.equal(states, beside.states(batch()))
    assert torch.equal(elsewhere.logits(states), beside.logits(states))


# --- what cannot be loaded ----------------------------------------------------------------------


def test_weights_of_another_architecture_are_refused(checkpoint, tmp_path):
    from safetensors.torch import load_file, save_file

    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    renamed = {name.replace("self_attn", "attention"): value for name, value in tensors.items()}
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        FileProblem, match=r"not those of a Qwen2ForCausalLM.*self_attn.*`model.path`"
    ):
        load(tmp_path)


def test_weights_of_another_shape_are_refused(checkpoint, tmp_path):
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "intermediate_size": 40}))
    with pytest.raises(FileProblem, match=r"model.path"):
        load(tmp_path)


def test_a_model_that_is_no_causal_one_is_refused(checkpoint, tmp_path):
    shape = {
        "vocab_size": 600,
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 16,
        "num_layers": 1,
        "num_heads": 2,
    }
    T5ForConditionalGeneration(T5Config(**shape)).save_pretrained(tmp_path)
    for file in [*checkpoint.glob("token*"), checkpoint / "chat_template.jinja"]:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FileProblem, match=r"no causal language model; set `model.path`") as caught:
        load(tmp_path)
    assert len(str(caught.value)) < 600, "without the list of all architectures there are"


@pytest.mark.parametrize(("said", "advice"), [
    ("You are trying to access a gated repo.\nMake sure to have access to it", r"hf auth login"),
    ("We couldn't connect to 'https://huggingface.co' to load the files",
     r"cannot be reached.*`model.path` to a local"),
    ("Cannot reach x: offline mode is enabled.", r"cannot be reached"),
])  # fmt: skip
def test_the_hubs_refusals_come_with_advice(monkeypatch, said, advice):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(said)

    monkeypatch.setattr(models.AutoTokenizer, "from_pretrained", refuse)
    with pytest.raises(FileProblem, match=rf"^some/model: cannot be loaded.*{advice}") as caught:
        load("some/model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("said", "advice"), [
    ("some/model is not a local folder and is not a valid model identifier",
     r"Check `model.path` in the config"),
    ("v9 is not a valid git identifier (branch name, tag name or commit id)",
     r"Set `model.revision`"),
])  # fmt: skip
def test_a_name_or_revision_that_is_not_there_comes_with_the_key(monkeypatch, said, advice):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(said)

    monkeypatch.setattr(models, "find_adapter_config_file", refuse)
    with pytest.raises(FileProblem, match=rf"^some/model: cannot be loaded.*{advice}"):
        models.check_base("some/model", "v9", "math")


def test_an_ordinary_reader_loads_what_is_saved(checkpoint, tmp_path):
    lm = load(checkpoint, loading(dtype="bfloat16"))
    models.save(lm, tmp_path / "model", {})
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.bfloat16)
    assert same_weights(weights(lm), theirs.state_dict())
