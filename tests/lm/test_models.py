"""Tokenizer and models: lossless, saved and loaded offline, damage named."""

import copy
import json
import os
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from selfcorrect import provenance
from selfcorrect.files import FileProblem
from selfcorrect.lm import models
from selfcorrect.lm.tokenizer import word_level_tokenizer
from selfcorrect.prompts import CARRY
from tiny import language_model, same_weights, tokenizer, weights

LM = language_model()
TOKENIZER = LM.chat.tokenizer
PIECES = [*"0123456789+.?", " ", "What", " is", "Correct", " any", " error", "Review", " and"]


# --- the tokenizer ------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_decoding_is_lossless(text):
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    if TOKENIZER.unk_token_id not in ids:  # glued words are another word
        assert TOKENIZER.decode(ids) == text


def test_prompts_and_answers_hold_no_unknown_token():
    for text in (CARRY.opening("012+345"), CARRY.correction, CARRY.refinement, "6789"):
        ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
        assert TOKENIZER.unk_token_id not in ids
        assert TOKENIZER.decode(ids) == text


def test_a_digit_is_a_token():
    assert len(TOKENIZER("1234567", add_special_tokens=False)["input_ids"]) == 7


def test_the_vocabulary_does_not_depend_on_the_order_of_texts():
    texts = [CARRY.opening("1+2"), CARRY.correction, "34567890"]
    one = word_level_tokenizer(texts).get_vocab()
    random.Random(0).shuffle(texts)
    assert word_level_tokenizer(texts).get_vocab() == one


def test_the_longest_named_piece_is_a_token_and_all_else_is_cut_as_ever():
    pieces = ["+1", ")+1", "return x", "return (x"]
    tokenizer = word_level_tokenizer([" Take x.", *"()123"], pieces)
    cut = tokenizer.tokenize("return (x+1)+1) Take x.2")
    assert cut == ["return (x", "+1", ")+1", ")", " Take", " x", ".", "2"]
    vocabulary = tokenizer.get_vocab()
    assert set(pieces) <= set(vocabulary)
    shuffled = word_level_tokenizer([*"()123", " Take x."], reversed(pieces))
    assert shuffled.get_vocab() == vocabulary


# --- saved and loaded ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    models.save(LM, path, {"job": "test"})
    return path


def test_transformers_loads_it_offline(folder):
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert same_weights(weights(LM), model.state_dict())
    assert model.config.eos_token_id == TOKENIZER.eos_token_id
    loaded = AutoTokenizer.from_pretrained(folder)
    text = CARRY.opening("12+34")
    messages = [{"role": "user", "content": text}]
    assert loaded.get_vocab() == TOKENIZER.get_vocab()
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert loaded.apply_chat_template(messages, tokenize=False) == (
        TOKENIZER.apply_chat_template(messages, tokenize=False)
    )
    assert (loaded.eos_token_id, loaded.pad_token_id) == (LM.chat.eos, LM.chat.pad)
    assert loaded.decode(loaded(text)["input_ids"]) == text


def test_our_own_loading(folder):
    loaded = models.load(folder)
    assert same_weights(weights(LM), weights(loaded))
    assert not loaded.model.training
    assert loaded.chat.bridge(CARRY.correction) == LM.chat.bridge(CARRY.correction)


def test_saving_replaces_what_was_there(folder):
    (folder / "old").write_text("")
    other = language_model(seed=1)
    models.save(other, folder, {})
    assert same_weights(weights(other), weights(models.load(folder)))
    assert not (folder / "old").exists()


def test_saving_twice_gives_the_same_bytes(folder, tmp_path):
    models.save(LM, tmp_path / "again", {"job": "test"})
    one, other = (
        json.loads((f / provenance.SIDECAR).read_text()) for f in (folder, tmp_path / "again")
    )
    assert one == other
    assert set(one["sha256"]) >= {"model.safetensors", "config.json", "tokenizer.json"}


def test_tied_weights_stay_one_when_they_are_rounded(tmp_path):
    config = copy.deepcopy(LM.model.config)
    config.tie_word_embeddings = True
    lm = models.LanguageModel(AutoModelForCausalLM.from_config(config), LM.chat)
    models.save(lm, tmp_path / "model", {}, torch.bfloat16)
    stored = load_file(tmp_path / "model" / "model.safetensors")
    assert "lm_head.weight" not in stored
    found = models.load(tmp_path / "model").model
    assert found.lm_head.weight is found.model.embed_tokens.weight
    expected = lm.model.model.embed_tokens.weight.to(torch.bfloat16).float()
    assert torch.equal(found.lm_head.weight, expected)
    assert lm.model.dtype is torch.float32


def test_random_weights_follow_the_seed():
    one, same, other = (weights(language_model(seed=seed)) for seed in (3, 3, 4))
    assert same_weights(one, same)
    assert not same_weights(one, other)


def test_loading_is_in_single_precision(tmp_path):
    half = language_model()
    half.model.to(torch.bfloat16)
    models.save(half, tmp_path / "half", {})
    assert models.load(tmp_path / "half").model.dtype == torch.float32


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/no/such/model", "./no-model", "results/carry/base/seed0/model"])
def test_a_missing_folder(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the checkout may hold results of a run
    with pytest.raises(FileProblem, match=rf"^{path}: no such model folder"):
        models.load(path)


def test_a_name_that_nobody_has():
    with pytest.raises(
        FileProblem, match=r"^nobody/nothing: cannot be loaded.*`model.path`"
    ) as error:
        models.load("nobody/nothing")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_flipped_byte_is_named(folder, name):
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    with pytest.raises(FileProblem, match=rf"^{folder / name}: damaged"):
        models.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer_config.json"])
def test_a_truncated_or_missing_file_is_named(folder, name):
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(FileProblem, match=rf"^{folder / name}: damaged"):
        models.load(folder)
    (folder / name).unlink()
    with pytest.raises(FileProblem, match=rf"^{folder / name}: damaged.*missing"):
        models.load(folder)


def test_a_damaged_folder_without_a_seal_is_named(folder):
    """As a model from elsewhere has none."""
    (folder / provenance.SIDECAR).unlink()
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(FileProblem, match=rf"^{folder}: cannot be loaded as a model"):
        models.load(folder)


def test_a_tokenizer_without_a_template_is_refused_by_name(tmp_path):
    plain = tokenizer()
    plain.chat_template = None
    LM.model.save_pretrained(tmp_path)
    plain.save_pretrained(tmp_path)
    with pytest.raises(FileProblem, match=rf"^{tmp_path}: no chat template"):
        models.load(tmp_path)
