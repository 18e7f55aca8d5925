"""These tests need vLLM: `make test-vllm` makes an environment that has it and runs them there."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from selfcorrect.lm.vllm_engine import VLLMEngine

# The first log-prob would wait for a compiler. Elsewhere, where these tests are skipped, others
# compile in the same process.
if find_spec("vllm"):
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


@pytest.fixture(scope="session", autouse=True)
def engines_stay() -> Iterator[None]:
    """When one engine goes, vLLM takes down what all of a process share. A job has only one."""
    start, kept = VLLMEngine._start, []

    def keep(engine: VLLMEngine, cache_mb: int) -> Any:
        kept.append(start(engine, cache_mb))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VLLMEngine, "_start", keep)
        yield
