"""Log-probs, KL and entropy in little memory equal those of all logits at once."""

import copy

import pytest
import torch

from selfcorrect.learning import scoring
from selfcorrect.learning.policy_gradient import token_statistics
from selfcorrect.lm import reference as lm_reference
from selfcorrect.lm.batch import collate, continuation_states, recomputed_states
from selfcorrect.lm.reference import Reference
from selfcorrect.records import Attempt, Problem, Trace
from tiny import FAMILIES, bare_model

EOS = 1
PROMPTS = [[3, 4, 5], [3, 4, 5], [6]]
ATTEMPTS = [([7, 8, EOS], [5, EOS]), ([6, EOS], [8, 8, 8, EOS]), ([4, 4, 4, 4], [EOS])]
BRIDGE = [2, 3]


def traces():
    problem = Problem("p", "q", "a", "1")
    return [
        Trace(
            problem,
            0,
            [
                Attempt(prompt, first, [0.0] * len(first), "", False),
                Attempt(BRIDGE, second, [0.0] * len(second), "", False),
            ],
        )
        for prompt, (first, second) in zip(PROMPTS, ATTEMPTS, strict=True)
    ]


def pair(family):
    """A policy and a reference; in double precision, which Gemma 2's attention does not bear."""
    models = [copy.deepcopy(bare_model(family, seed=seed)) for seed in (5, 6)]
    policy, reference = models if family == "gemma2" else (each.double() for each in models)
    return policy, reference.requires_grad_(False)


def whole(model, batch):
    """Every logit of every conversation, each read by itself."""
    rows = []
    for row, of in enumerate(batch.prompt_of.tolist()):
        prompt = batch.prompts[of][batch.prompt_mask[of] > 0]
        tokens = torch.cat([prompt, batch.tokens[row]]).unsqueeze(0)
        logits = model(input_ids=tokens, use_cache=False).logits[0]
        rows.append(logits[len(prompt) - 1 : -1])
    return torch.stack(rows)


@pytest.mark.parametrize("kl", ["exact", "k3"])
@pytest.mark.parametrize("at_a_time", [1, 100, 1 << 25])
@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_and_gradients_equal_those_of_all_logits(family, at_a_time, kl):
    policy, reference = pair(family)
    batch = collate(traces(), 0)
    sampled = batch.turns > 0
    weights = torch.randn(2, *batch.tokens.shape, generator=torch.Generator().manual_seed(1))

    def gradient(of):
        policy.zero_grad()
        loss = (of.logprobs * weights[0] + of.kl * weights[1])[sampled].sum()
        loss.backward()
        return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}

    with torch.no_grad():
        reference_logits = whole(reference, batch)
    plain = token_statistics(whole(policy, batch), reference_logits, batch.tokens, 0.8, kl)
    plainly = gradient(plain)
    fixed = Reference(reference, policy)
    found = scoring.score(policy, batch, fixed, 0.8, kl, logits_at_a_time=at_a_time)
    for ours, theirs in zip(vars(found).values(), vars(plain).values(), strict=True):
        torch.testing.assert_close(ours[sampled], theirs[sampled], rtol=1e-3, atol=1e-4)
    ours = gradient(found)
    assert ours.keys() == plainly.keys()
    for name, value in plainly.items():
        torch.testing.assert_close(
            ours[name], value, rtol=1e-3, atol=1e-3 if family == "gemma2" else 1e-5
        )


def test_logits_are_made_for_a_few_sampled_positions_at_a_time(monkeypatch):
    policy, reference = pair(FAMILIES[0])
    made = []
    plain = scoring.logits_of

    def counted(model, states, head=None):
        made.append(tuple(states.shape[:-1]))
        return plain(model, states, head)

    for module in (scoring, lm_reference):
        monkeypatch.setattr(module, "logits_of", counted)
    batch = collate(traces(), 0)
    few = 5 * policy.config.vocab_size
    fixed = Reference(reference, policy)
    scoring.score(policy, batch, fixed, 1.0, "exact", logits_at_a_time=few)
    count = sum(len(a) + len(b) for a, b in ATTEMPTS)
    assert all(len(shape) == 1 and shape[0] <= 5 for shape in made)
    assert sum(shape[0] for shape in made) == 2 * count


@pytest.mark.parametrize("family", FAMILIES)
def test_recomputed_states_and_their_gradients_are_the_same(family):
    found = []
    for read in (continuation_states, recomputed_states):
        policy, _ = pair(family)
        batch = collate(traces(), 0)
        states = read(policy, batch)
        states[batch.mask > 0].square().sum().backward()
        gradients = [p.grad for p in policy.parameters() if p.grad is not None]
        found.append([states[batch.mask > 0].detach(), *gradients])
    tolerance = 1e-3 if family == "gemma2" else 2e-5  # norms are in float32 all the same
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_recomputing_keeps_what_layers_read_and_no_more(monkeypatch):
    """On the way back every layer is read once more, and afterwards the model is as it was."""
    policy, _ = pair(FAMILIES[0])
    layers = policy.get_decoder().layers
    forward, calls = type(layers[0]).forward, []
    monkeypatch.setattr(
        type(layers[0]), "forward", lambda self, *a, **k: calls.append(1) or forward(self, *a, **k)
    )
    states = recomputed_states(policy, collate(traces(), 0))
    assert len(calls) == len(layers)
    states.sum().backward()
    assert len(calls) == 2 * len(layers)
    assert not any("forward" in vars(layer) for layer in layers)
