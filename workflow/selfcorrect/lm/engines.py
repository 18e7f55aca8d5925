"""Which engine samples, as a job's ``generation.engine`` says. A job makes it once."""

from selfcorrect.lm.engine import Engine
from selfcorrect.lm.models import LanguageModel
from selfcorrect.lm.torch_engine import TorchEngine
from selfcorrect.spec import Generation


def make_engine(lm: LanguageModel, generation: Generation) -> Engine:
    """An engine that samples from ``lm``.

    Raises:
        ConfigError: it is vLLM, and that is not installed or cannot take the model.
    """
    if generation.engine == "torch":
        return TorchEngine(lm.model, lm.chat.eos, lm.chat.pad)
    if generation.engine == "compiled":
        # Not above: the compiler takes a second to import.
        from selfcorrect.lm.compiled_engine import CompiledEngine

        return CompiledEngine(lm.model, lm.chat.eos, lm.chat.pad)
    from selfcorrect.lm.vllm_engine import VLLMEngine

    return VLLMEngine(lm.model, lm.chat.eos, generation.cache_mb)
