"""Pretraining: the loss is that of attempts alone, it falls, and every setting has an effect."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from selfcorrect import seeds
from selfcorrect.lm.checkpoint import Workspace
from selfcorrect.lm.models import LanguageModel, tiny_model
from selfcorrect.lm.pretrain import STEPS_PER_BLOCK, pretrain
from selfcorrect.spec import Pretraining, TinyModel
from selfcorrect.tasks import make_testbed
from tiny import plain_logprobs, plan, same_weights, weights

JOB = plan().pretrain("carry", "base", 0)
TASK = make_testbed(JOB.data, JOB.corpus)
SEED = 3


def workspace(folder: Path) -> Workspace:
    folder.mkdir(exist_ok=True)
    return Workspace(folder, {"job": "test"})


def run(folder: Path, tiny: TinyModel = JOB.tiny, **changes: Any) -> LanguageModel:
    spec = JOB.pretraining.model_copy(update=changes)
    return pretrain(TASK, tiny, spec, SEED, workspace(folder))


def losses(folder: Path) -> list[float]:
    lines = (folder / "training.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_the_loss_is_that_of_attempts_read_plainly(tmp_path):
    """EOS included; questions and instructions are context, not something to learn."""
    lm = run(tmp_path)
    start = tiny_model(JOB.tiny, lm.chat.tokenizer, seeds.derive(SEED, "weights"))
    size = JOB.pretraining.batch_size
    rng = seeds.generator(SEED, "corpus", 0)
    documents = list(TASK.documents(rng, STEPS_PER_BLOCK * size))[:size]
    assert {len(document.attempts) for document in documents} >= {1, 2}
    total, count = 0.0, 0
    for document in documents:
        context = lm.chat.opening(TASK.prompts.opening(document.question))
        bridge = lm.chat.bridge(TASK.prompts.instruction(document.instruction))[1:]
        for attempt in document.attempts:
            written = lm.chat.tokenizer(attempt, add_special_tokens=False)["input_ids"]
            written = [*written, lm.chat.eos]
            with torch.no_grad():
                total -= float(plain_logprobs(start, context, written, 1.0).sum())
            count += len(written)
            context = [*context, *written, *bridge]
    assert losses(tmp_path)[0] == pytest.approx(total / count, rel=1e-4)


def test_the_loss_falls(tmp_path):
    run(tmp_path, steps=60)
    lost = losses(tmp_path)
    assert len(lost) == 60
    assert sum(lost[-5:]) < 0.8 * sum(lost[:5])


def test_a_run_stopped_in_a_later_block_of_documents_ends_in_the_same_bits(tmp_path):
    steps = STEPS_PER_BLOCK + 6
    whole = weights(run(tmp_path / "whole", steps=steps))
    work = workspace(tmp_path / "stopped")
    record = work.record

    def stopping(numbers):
        record(numbers)
        if numbers["step"] == STEPS_PER_BLOCK + 5:
            raise KeyboardInterrupt

    work.record = stopping
    spec = JOB.pretraining.model_copy(update={"steps": steps})
    with pytest.raises(KeyboardInterrupt):
        pretrain(TASK, JOB.tiny, spec, SEED, work)
    assert same_weights(whole, weights(run(tmp_path / "stopped", steps=steps)))
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")


EFFECTS = {"steps": 13, "batch_size": 9, "learning_rate": 2e-2, "warmup": 0.5, "weight_decay": 0.5}


def test_every_setting_is_tried():
    # Checkpoints are for going on after a stop; how often they are written changes no weight.
    assert {*EFFECTS, "checkpoint_every"} == set(Pretraining.model_fields)


@pytest.mark.parametrize("key", EFFECTS)
def test_every_setting_has_an_effect(tmp_path, key):
    base = run(tmp_path / "one")
    other = run(tmp_path / "other", **{key: EFFECTS[key]})
    assert not same_weights(weights(base), weights(other))


def test_checkpoints_have_none(tmp_path):
    base, other = run(tmp_path / "one"), run(tmp_path / "other", checkpoint_every=5)
    assert same_weights(weights(base), weights(other))


SHAPES = {
    "hidden_size": ("hidden_size", 24),
    "intermediate_size": ("intermediate_size", 32),
    "layers": ("num_hidden_layers", 1),
    "heads": ("num_attention_heads", 4),
    "max_positions": ("max_position_embeddings", 80),
}


@pytest.mark.parametrize("key", TinyModel.model_fields)
def test_the_shape_is_what_the_config_says(tmp_path, key):
    name, value = SHAPES[key]
    lm = run(tmp_path, JOB.tiny.model_copy(update={key: value}), steps=1)
    assert getattr(lm.model.config, name) == value
    assert lm.model.config.vocab_size == len(lm.chat.tokenizer)
