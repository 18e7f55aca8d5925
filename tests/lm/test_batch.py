"""Traces as tensors: which tokens are actions, and logits equal to reading each trace alone."""

import copy
from collections.abc import Callable

import pytest
import torch

from selfcorrect.lm.batch import TraceBatch, collate, continuation_states
from selfcorrect.lm.head import logits_of
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.records import Trace
from selfcorrect.seeds import derive
from tiny import EOS, FAMILIES, PAD, bare_model, plain_logits, trace
from tiny import attempt as made

# Prompts, instructions and attempts of different lengths; PAD and EOS also occur as plain tokens.
LONG = [5, 4, 8, EOS, 2, 6]
TRACES = [
    trace("p", made([5, EOS], prompt=[4, 4, 6]), made([8, 8, 3, EOS], prompt=[7, 2])),
    trace("p", made([3, 3, 3, 3], prompt=[4, 4, 6]), made([PAD, EOS], prompt=[EOS, 7, 2])),
    trace("q", made([EOS], prompt=LONG), made([6, 2, 5], prompt=[7, 2])),
    trace("r", made([2, 7, EOS], prompt=[8], given=True), made([4, EOS], prompt=[7, 2])),
]


def test_the_prompt_and_what_follows_it():
    batch = collate(TRACES, PAD)
    assert batch.prompts.tolist() == [[PAD] * 3 + [4, 4, 6], LONG, [PAD] * 5 + [8]]
    assert batch.prompt_mask.tolist() == [[0, 0, 0, 1, 1, 1], [1] * 6, [0, 0, 0, 0, 0, 1]]
    assert batch.prompt_of.tolist() == [0, 0, 1, 2]
    assert batch.tokens.tolist() == [
        [5, EOS, 7, 2, 8, 8, 3, EOS, PAD],
        [3, 3, 3, 3, EOS, 7, 2, PAD, EOS],
        [EOS, 7, 2, 6, 2, 5, PAD, PAD, PAD],
        [2, 7, EOS, 7, 2, 4, EOS, PAD, PAD],
    ]
    assert batch.mask.tolist() == [[1] * 8 + [0], [1] * 9, [1] * 6 + [0] * 3, [1] * 7 + [0] * 2]


def test_only_sampled_tokens_up_to_and_with_eos_are_actions():
    """Neither the instruction, nor its EOS, nor padding, nor an attempt by another writer."""
    assert collate(TRACES, PAD).turns.tolist() == [
        [1, 1, 0, 0, 2, 2, 2, 2, 0],
        [1, 1, 1, 1, 0, 0, 0, 2, 2],
        [1, 0, 0, 2, 2, 2, 0, 0, 0],
        [0, 0, 0, 0, 0, 2, 2, 0, 0],
    ]


def test_recorded_logprobs_lie_at_their_tokens():
    batch = collate(TRACES, PAD)
    expected = [[-0.1, -0.2, 0, 0, -0.1, -0.2, -0.3, -0.4, 0], [0, 0, 0, 0, 0, -0.1, -0.2, 0, 0]]
    torch.testing.assert_close(batch.logprobs[[0, 3]], torch.tensor(expected))


def test_pad_may_be_eos():
    batch = collate(TRACES, pad=EOS)
    assert torch.equal(batch.turns, collate(TRACES, PAD).turns)
    assert batch.tokens[0, -1] == EOS


# --- logits -------------------------------------------------------------------------------------


def precise(family: str) -> tuple[torch.nn.Module, float]:
    """A model of its own and what counts as equal, in double precision where the family can.

    Gemma 2's eager attention takes its softmax in single precision, masked by a number that only
    double precision holds.
    """
    model = copy.deepcopy(bare_model(family))
    return (model, 1e-4) if family == "gemma2" else (model.double(), 1e-6)


def plain_continuation(model: torch.nn.Module, batch: TraceBatch, row: int) -> torch.Tensor:
    """Logits [n, V] that predict a row's continuation, the conversation read alone and whole."""
    of = int(batch.prompt_of[row])
    prompt = batch.prompts[of][batch.prompt_mask[of] == 1].tolist()
    after = batch.tokens[row][batch.mask[row] == 1].tolist()
    return plain_logits(model, [*prompt, *after])[len(prompt) - 1 : -1]


def gradient(
    model: torch.nn.Module, logits: Callable[[int], torch.Tensor], rows: int
) -> dict[str, torch.Tensor]:
    """Of a random linear function of the rows' logits."""
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros((), dtype=torch.double)
    for row in range(rows):
        values = logits(row)
        total = total + (values * torch.randn(values.shape, generator=generator)).sum()
    model.zero_grad()
    total.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def continuation_logits(model, batch):
    return logits_of(model, continuation_states(model, batch))


@pytest.mark.parametrize(
    "traces", [TRACES, TRACES[2:3], TRACES[::-1]], ids=["all", "one", "turned"]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradients_equal_plain_reading(family, traces):
    (model, tolerance), batch = precise(family), collate(traces, PAD)
    logits = continuation_logits(model, batch)
    assert logits.shape[:2] == batch.tokens.shape
    lengths = batch.mask.sum(1).tolist()
    for row, length in enumerate(lengths):
        plain = plain_continuation(model, batch, row)
        torch.testing.assert_close(logits[row, :length], plain, rtol=0, atol=tolerance)

    ours = gradient(model, lambda row: logits[row, : lengths[row]], len(traces))
    plainly = gradient(model, lambda row: plain_continuation(model, batch, row), len(traces))
    assert ours.keys() == plainly.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], plainly[name], rtol=10 * tolerance, atol=tolerance)


def test_the_pad_token_changes_nothing():
    (model, _), lengths = precise("llama"), collate(TRACES, PAD).mask.sum(1).tolist()
    one, other = (continuation_logits(model, collate(TRACES, pad)) for pad in (PAD, 8))
    for row, length in enumerate(lengths):
        torch.testing.assert_close(one[row, :length], other[row, :length], rtol=0, atol=1e-12)


def test_attempts_of_one_token():
    traces = [trace("p", made([EOS], prompt=LONG)), trace("q", made([4], prompt=[3, 3]))]
    (model, _), batch = precise("llama"), collate(traces, PAD)
    logits = continuation_logits(model, batch)
    assert logits.shape[:2] == (2, 1)
    for row in range(2):
        torch.testing.assert_close(
            logits[row], plain_continuation(model, batch, row), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("traces", [TRACES, [trace("p", made([EOS], prompt=LONG))]])
def test_layers_are_called_equally_often_for_every_batch(traces):
    """Where they are sharded every call, forth and back, is one that all processes make."""
    (model, _), forth, back = precise("llama"), [], []
    layer = model.model.layers[0]
    layer.register_forward_hook(lambda *_: forth.append(1))
    layer.register_full_backward_hook(lambda *_: back.append(1))
    continuation_states(model, collate(traces, PAD)).sum().backward()
    assert (len(forth), len(back)) == (2, 2)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_trainer_recomputes_what_the_engine_recorded(family, temperature):
    model = bare_model(family)
    session = TorchEngine(model, EOS, PAD).open([LONG, [4, 6]], copies=6)
    prompts = [LONG] * 6 + [[4, 6]] * 6
    traces = [Trace(TRACES[0].problem, 0) for _ in prompts]
    for seed in range(2):
        done = session.sample(6, temperature, [derive(row, seed) for row in range(12)])
        for one, prompt, out in zip(traces, prompts, done, strict=True):
            attempt = made(out.tokens, prompt=prompt)
            attempt.logprobs = out.logprobs
            one.attempts.append(attempt)
        prompts = [[7, 2] if not out.truncated else [EOS, 7, 2] for out in done]
        session.extend(prompts)
    batch = collate(traces, PAD)
    with torch.no_grad():
        table = (continuation_logits(model, batch) / temperature).log_softmax(-1)
    recomputed = table.gather(-1, batch.tokens.unsqueeze(-1)).squeeze(-1)
    sampled = batch.turns > 0
    assert int(sampled.sum()) == sum(len(a.tokens) for t in traces for a in t.attempts)
    torch.testing.assert_close(recomputed[sampled], batch.logprobs[sampled], rtol=0, atol=1e-4)
