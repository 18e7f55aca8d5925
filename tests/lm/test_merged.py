"""Weights with adapters merged into them, against PEFT's own merging."""

import copy

import pytest
import torch
from torch import Tensor

from selfcorrect.lm.merged import merged_weights
from selfcorrect.lm.models import LanguageModel, adapted
from selfcorrect.spec import LoRA
from tiny import language_model, same_weights, weights

MODULES = ["all-linear", ("q_proj", "down_proj")]


def with_adapter(modules: str | tuple[str, ...]) -> LanguageModel:
    """A model whose adapter does something, as after training; its scale is not 1."""
    lm = adapted(language_model(), LoRA(rank=2, alpha=6.0, modules=modules), seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in lm.model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter))
    return lm


@pytest.mark.parametrize("modules", MODULES, ids=str)
def test_they_are_those_of_the_merged_model(modules):
    model = with_adapter(modules).model
    expected: dict[str, Tensor] = copy.deepcopy(model).merge_and_unload().state_dict()
    found = dict(merged_weights(model))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5)
        assert not found[name].requires_grad


@pytest.mark.parametrize("modules", MODULES, ids=str)
def test_the_model_is_left_as_it_is(modules):
    lm = with_adapter(modules)
    before = weights(lm)
    list(merged_weights(lm.model))
    assert same_weights(before, weights(lm))


def test_the_precision_is_the_bases():
    lm = with_adapter("all-linear")
    for name, parameter in lm.model.named_parameters():
        if "lora_" not in name:
            parameter.data = parameter.data.bfloat16()
    assert {value.dtype for _, value in merged_weights(lm.model)} == {torch.bfloat16}


def test_a_model_without_adapters_gives_its_own():
    lm = language_model()
    assert same_weights(dict(merged_weights(lm.model)), weights(lm))
