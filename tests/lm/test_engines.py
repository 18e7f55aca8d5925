"""The config chooses the engine."""

import importlib.util

import pytest

from selfcorrect.lm.compiled_engine import CompiledEngine
from selfcorrect.lm.engine import check_fits
from selfcorrect.lm.engines import make_engine
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.spec import Generation
from selfcorrect.validation import ConfigError
from tiny import language_model


def generation(engine: str) -> Generation:
    return Generation(max_new_tokens=4, batch_size=8, engine=engine, cache_mb=16)


def test_the_built_in_engine_samples_from_the_model_itself():
    lm = language_model()
    engine = make_engine(lm, generation("torch"))
    assert type(engine) is TorchEngine
    assert (engine.model, engine.eos) == (lm.model, lm.chat.eos)


def test_its_token_steps_can_be_compiled():
    lm = language_model()
    engine = make_engine(lm, generation("compiled"))
    assert isinstance(engine, CompiledEngine)
    assert (engine.model, engine.eos) == (lm.model, lm.chat.eos)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_vllm_that_is_not_installed_is_told_in_a_line():
    with pytest.raises(ConfigError, match=r"generation\.engine: vllm.*pip install vllm.*torch"):
        make_engine(language_model(), generation("vllm"))


def test_a_conversation_may_fill_the_context():
    check_fits(12, 12)
    with pytest.raises(ConfigError, match=r"13 tokens does not fit the model's 12.*max_new_tokens"):
        check_fits(13, 12)
