"""Supervised fine-tuning: only completions are learned, and TRL does what it is told, offline."""

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerState
from trl import SFTTrainer

from selfcorrect import prompts
from selfcorrect.learning import traces as selection
from selfcorrect.learning.sft import (
    IGNORED,
    SNAPSHOTS,
    arguments,
    finetune,
    labelled,
    whole_checkpoint,
)
from selfcorrect.lm.chat import Chat
from selfcorrect.lm.models import LanguageModel, adapted, load
from selfcorrect.records import Trace, Verdict
from selfcorrect.rollout import rollout
from selfcorrect.spec import SFT, LoRA
from tiny import (
    EOS,
    Toy,
    adaptation,
    attempt,
    language_model,
    plain_logprobs,
    same_weights,
    sft,
    torch_engine,
    trace,
    weights,
)

TASK = Toy()


# --- labels -------------------------------------------------------------------------------------

TWO = trace("p", attempt([5, EOS], prompt=[4, 4, 6]), attempt([8, 3, EOS], prompt=[7, 2]))


def test_only_completions_are_learned():
    row = labelled(TWO, "all")
    assert row["input_ids"] == [4, 4, 6, 5, EOS, 7, 2, 8, 3, EOS]
    assert row["labels"] == [*[IGNORED] * 3, 5, EOS, IGNORED, IGNORED, 8, 3, EOS]


def test_only_the_last_completion():
    row = labelled(TWO, "last")
    assert row["input_ids"] == labelled(TWO, "all")["input_ids"]
    assert row["labels"] == [*[IGNORED] * 7, 8, 3, EOS]


def test_a_truncated_attempt_is_not_taught_to_end():
    cut = trace("p", attempt([5, 6], prompt=[4]), attempt([8, EOS], prompt=[EOS, 7]))
    assert labelled(cut, "all")["labels"] == [IGNORED, 5, 6, IGNORED, IGNORED, 8, EOS]


def test_three_attempts():
    three = trace("p", *(attempt([5, EOS], prompt=[7]) for _ in range(3)))
    assert labelled(three, "last")["labels"] == [IGNORED] * 7 + [5, EOS]
    assert labelled(three, "all")["labels"] == [IGNORED, 5, EOS] * 3


# --- training -----------------------------------------------------------------------------------


def lm() -> LanguageModel:
    return language_model(scale=4.0)


def sampled(lm: LanguageModel) -> list[Trace]:
    return rollout(
        torch_engine(lm), lm.chat, TASK, TASK.problems("train")[:6],
        instruction=prompts.CARRY.correction, turns=2, samples=2, max_new_tokens=4,
        temperature=1.0, seeds=range(6),
    )  # fmt: skip


TRACES = sampled(lm())


def loss(lm: LanguageModel, traces: Sequence[Trace], turn: int) -> float:
    """Mean negative log-prob of an attempt (from 1), read plainly."""
    total, count = 0.0, 0
    for one in traces:
        context: list[int] = []
        for number, made in enumerate(one.attempts, start=1):
            context += made.prompt
            if number == turn:
                with torch.no_grad():
                    logprobs = plain_logprobs(lm.model, context, made.tokens, 1.0)
                total -= float(logprobs.sum())
                count += len(made.tokens)
            context += made.tokens
    return total / count


def tuned(
    tmp_path, settings: SFT, traces: Sequence[Trace] = TRACES, seed: int = 0
) -> LanguageModel:
    made = lm()
    finetune(made, traces, settings, adaptation(), seed, fresh(tmp_path))
    return made


def fresh(tmp_path: Path) -> Path:
    """A work folder of its own."""
    return Path(tempfile.mkdtemp(dir=tmp_path))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **more):
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("supervise", ["all", "last"])
def test_the_loss_falls_on_what_is_supervised(tmp_path, no_network, supervise):
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    after = tuned(tmp_path, sft(learning_rate=1e-2, epochs=4, supervise=supervise))
    falls = [loss(lm(), TRACES, turn) - loss(after, TRACES, turn) for turn in (1, 2)]
    assert falls[1] > 0.3
    assert (falls[0] > 0.3) == (supervise == "all")
    assert not after.model.training


def test_the_same_bits_every_time(tmp_path):
    runs = []
    for number in range(2):
        torch.manual_seed(number)  # whatever was drawn before
        runs.append(weights(tuned(tmp_path, sft(epochs=2))))
    assert same_weights(*runs)


@pytest.mark.parametrize("pad", ["none", "that of EOS"])
def test_a_tokenizer_without_a_padding_token_of_its_own(tmp_path, pad):
    made = lm()
    tokenizer = made.chat.tokenizer
    tokenizer.pad_token = None if pad == "none" else tokenizer.eos_token
    same = LanguageModel(made.model, Chat(tokenizer))
    finetune(same, TRACES, sft(epochs=2), adaptation(), 0, fresh(tmp_path))
    assert same_weights(weights(same), weights(tuned(tmp_path, sft(epochs=2))))


def test_an_adapter_alone_is_tuned(tmp_path):
    lora = LoRA(rank=3, alpha=6.0, modules="all-linear")
    made = adapted(lm(), lora, seed=0)
    before = weights(made)
    finetune(made, TRACES, sft(learning_rate=1e-2), adaptation(lora=lora), 0, fresh(tmp_path))
    after = weights(made)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert moved and all("lora_" in name for name in moved)


@pytest.mark.parametrize("changes", [{"gradient_checkpointing": True}, {"dtype": "bfloat16"}])
def test_what_saves_memory_learns_about_the_same(tmp_path, changes):
    plain, made = tuned(tmp_path, sft(epochs=2, learning_rate=1e-3)), lm()
    settings = sft(epochs=2, learning_rate=1e-3)
    finetune(made, TRACES, settings, adaptation(**changes), 0, fresh(tmp_path))
    expected = torch.bfloat16 if "dtype" in changes else torch.float32
    assert {value.dtype for value in weights(made).values()} == {expected}
    made.model.float()
    for turn in (1, 2):
        assert loss(made, TRACES, turn) == pytest.approx(loss(plain, TRACES, turn), rel=0.05)
        assert loss(made, TRACES, turn) < loss(lm(), TRACES, turn)


def test_no_traces_no_change(tmp_path):
    assert same_weights(weights(lm()), weights(tuned(tmp_path, sft(), [])))


def test_the_first_step_is_adamw_on_the_labelled_tokens(tmp_path):
    """One batch, one step: against the gradient of the mean loss over labelled tokens."""
    settings = sft(batch_size=len(TRACES), learning_rate=1e-3, supervise="last")
    after, plain = tuned(tmp_path, settings), lm()
    total, count = torch.zeros(()), 0
    for one in TRACES:
        first, second = one.attempts
        context = [*first.prompt, *first.tokens, *second.prompt]
        total = total - plain_logprobs(plain.model, context, second.tokens, 1.0).sum()
        count += len(second.tokens)
    (total / count).backward()
    parameters = list(plain.model.parameters())
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0).step()
    for own, expected in zip(after.model.parameters(), parameters, strict=True):
        big = expected.grad.abs() > 1e-5  # elsewhere Adam's step is the sign of rounding errors
        torch.testing.assert_close(own[big], expected[big], rtol=0, atol=2e-5)


EFFECTS = {
    "learning_rate": 2e-3,
    "epochs": 2,
    "batch_size": 3,
    "supervise": "last",
    "max_traces": 5,
}


def test_every_setting_is_tried():
    without = {"traces_per_micro_batch", "checkpoint_every"}  # are tested to have none
    assert set(EFFECTS) | without == set(SFT.model_fields)


def selected_and_tuned(tmp_path, settings: SFT, seed: int = 0) -> dict[str, torch.Tensor]:
    """As ``steps.select`` and ``steps.finetune`` do it, every trace taken for right."""
    verdicts = [[Verdict.RIGHT, Verdict.RIGHT] for _ in TRACES]
    rng = np.random.default_rng(0)
    both = ["wrong_right", "right_right"]
    kept = selection.chosen(selection.star(TRACES, verdicts), both, settings.max_traces, rng)
    return weights(tuned(tmp_path, settings, kept, seed))


@pytest.mark.parametrize("key", EFFECTS)
def test_every_setting_has_an_effect(tmp_path, key):
    base, other = sft(), sft(**{key: EFFECTS[key]})
    assert not same_weights(selected_and_tuned(tmp_path, base), selected_and_tuned(tmp_path, other))


@pytest.mark.parametrize("supervise", ["all", "last"])
def test_micro_batches_learn_what_the_whole_batch_would(tmp_path, supervise):
    """Of traces of different lengths, so that a mean of means would be another one."""
    whole, parts = (
        weights(tuned(tmp_path, sft(traces_per_micro_batch=size, supervise=supervise)))
        for size in (None, 1)
    )
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[name], rtol=0, atol=2e-6)


def test_one_gpu_of_several_is_used(tmp_path, monkeypatch):
    """The trainer would share every micro-batch over all that it sees."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    made = arguments(sft(traces_per_micro_batch=2), adaptation(), 0, tmp_path, "cuda")
    assert (made.n_gpu, made.train_batch_size, made.gradient_accumulation_steps) == (1, 2, 2)


@contextmanager
def stopped(monkeypatch, after: int) -> Iterator[None]:
    """Interrupt the training inside, after so many of its steps."""
    step, left = SFTTrainer.training_step, iter(range(after))

    def stopping(self, *arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SFTTrainer, "training_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_tuning_that_was_stopped_goes_on_in_the_same_bits(tmp_path, monkeypatch, stop):
    settings = sft(epochs=2, checkpoint_every=2)
    expected = weights(tuned(tmp_path, settings))
    work, step = fresh(tmp_path), SFTTrainer.training_step
    with stopped(monkeypatch, after=stop):
        finetune(lm(), TRACES, settings, adaptation(), 0, work)
    done = []
    monkeypatch.setattr(
        SFTTrainer, "training_step", lambda self, *a: done.append(1) or step(self, *a)
    )
    again = lm()
    torch.manual_seed(stop)
    finetune(again, TRACES, settings, adaptation(), 0, work)
    assert len(done) == 6 - stop // 2 * 2
    assert same_weights(expected, weights(again))


def test_tuning_that_was_stopped_goes_on_with_other_settings_of_memory(tmp_path, monkeypatch):
    """Also past the end of an epoch, whose last batch has fewer traces than the others."""
    settings, traces = sft(epochs=2, checkpoint_every=2), TRACES[:-2]
    assert len(traces) % settings.batch_size == 2
    whole = lm()
    finetune(whole, traces, settings, adaptation(), 0, fresh(tmp_path))
    work, step = fresh(tmp_path), SFTTrainer.training_step
    with stopped(monkeypatch, after=2):
        finetune(lm(), traces, settings, adaptation(), 0, work)
    done = []
    monkeypatch.setattr(
        SFTTrainer, "training_step", lambda self, *a: done.append(1) or step(self, *a)
    )
    again, one_by_one = lm(), sft(epochs=2, checkpoint_every=2, traces_per_micro_batch=1)
    finetune(again, traces, one_by_one, adaptation(gradient_checkpointing=True), 0, work)
    assert len(done) == 2 + len(traces)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(again)[name], rtol=0, atol=2e-6)


@pytest.mark.parametrize("left", ["nothing", "weights", "half a state"])
@pytest.mark.parametrize("done", [0, 4])
def test_a_checkpoint_half_written_is_not_gone_on_from(tmp_path, monkeypatch, done, left):
    """Killed while a checkpoint was written, whose state the trainer writes last."""
    settings = sft(epochs=2, checkpoint_every=2)
    expected = weights(tuned(tmp_path, settings))
    work, save = fresh(tmp_path), TrainerState.save_to_json

    def killed(state, path):
        if state.global_step <= done:
            return save(state, path)
        if left == "half a state":
            Path(path).write_text('{"global_step": 2, "log')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainerState, "save_to_json", killed)
        with pytest.raises(KeyboardInterrupt):
            finetune(lm(), TRACES, settings, adaptation(), 0, work)
    if left == "nothing":
        for file in (work / f"checkpoint-{done + 2}").iterdir():
            file.unlink()
    assert whole_checkpoint(work) == (str(work / f"checkpoint-{done}") if done else None)
    assert len([*work.glob("checkpoint-*")]) == (done > 0)
    again = lm()
    finetune(again, TRACES, settings, adaptation(), 0, work)
    assert same_weights(expected, weights(again))


def test_the_newest_checkpoint_is_the_one_of_most_steps(tmp_path):
    for step in (9, 10, 11):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]


@pytest.mark.parametrize("stop", [None, 3])
def test_models_are_kept_on_the_way_also_over_a_stop(tmp_path, monkeypatch, stop):
    """Six steps, of which a third and two thirds on the way, and the last."""
    settings, work = sft(epochs=2, checkpoint_every=2), fresh(tmp_path)
    if stop is not None:
        with stopped(monkeypatch, after=stop):
            finetune(lm(), TRACES, settings, adaptation(), 0, work, snapshots=3)
    made = lm()
    finetune(made, TRACES, settings, adaptation(), 0, work, snapshots=3)
    kept = {path.name: load(path) for path in (work / SNAPSHOTS).iterdir()}
    assert kept.keys() == {"step2", "step4", "step6"}
    assert same_weights(weights(made), weights(kept["step6"]))
    assert not same_weights(weights(kept["step2"]), weights(kept["step4"]))


def test_kept_models_have_the_precision_that_they_are_used_in(tmp_path):
    """Training is in float32; what is kept of a bfloat16 model takes half of that."""
    work, loading = fresh(tmp_path), adaptation(dtype="bfloat16")
    made = lm()
    finetune(made, TRACES, sft(epochs=2), loading, 0, work, snapshots=1)
    (kept,) = (work / SNAPSHOTS).iterdir()
    stored = load_file(kept / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    final = load(kept, loading)  # its weights are those of the model at the end, also rounded
    assert same_weights(weights(made), weights(final))


def test_no_traces_keep_no_models(tmp_path):
    work = fresh(tmp_path)
    finetune(lm(), [], sft(), adaptation(), 0, work, snapshots=3)
    assert not list((work / SNAPSHOTS).iterdir())


def test_the_seed_has_an_effect(tmp_path):
    one, other = (selected_and_tuned(tmp_path, sft(), seed) for seed in (0, 1))
    assert not same_weights(one, other)
