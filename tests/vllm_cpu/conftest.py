"""These tests need vLLM: `make test-vllm` makes an environment that has it and runs them there."""

import os

# The first log-prob would wait for a compiler.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
