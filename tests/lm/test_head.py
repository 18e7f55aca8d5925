"""Hidden states and the head together give a model's own logits, or the model is refused."""

import copy

import pytest
import torch

from selfcorrect.files import FileProblem
from selfcorrect.lm.head import check_head, logits_of, states_of
from tiny import FAMILIES, bare_model


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_give_the_models_logits(family):
    model, tokens = bare_model(family), torch.tensor([[3, 4, 5, 6, 3], [6, 5, 4, 3, 3]])
    states = states_of(model, input_ids=tokens, use_cache=False)
    assert states.shape == (2, 5, model.config.hidden_size)
    whole = model(input_ids=tokens, use_cache=False).logits
    torch.testing.assert_close(logits_of(model, states), whole, rtol=1e-5, atol=1e-5)
    check_head(model, "it")


def test_logits_that_come_about_otherwise_are_refused():
    model = copy.deepcopy(bare_model())
    plain = model.forward
    model.forward = lambda **inputs: scaled(plain(**inputs))
    with pytest.raises(FileProblem, match=r"some/where: models of class LlamaForCausalLM"):
        check_head(model, "some/where")


def scaled(output):
    output.logits = 0.5 * output.logits
    return output
