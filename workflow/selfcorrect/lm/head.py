"""A model in two parts: hidden states, and the logits that its head makes of them.

Logits are large: [batch, tokens, vocabulary]. So the model is read as far as its hidden states, and
the head is applied to a few positions at a time, only where a log-prob is asked for.
"""

from typing import Any

import torch
from torch import Tensor

from selfcorrect.files import FileProblem

LOGITS_AT_A_TIME = 1 << 25  # of each model, where a batch has more: 128 MiB in float32


def states_of(model: Any, **inputs: Any) -> Tensor:
    """The hidden states [R, K, H] that the head reads; arguments as of the model's forward."""
    states: Tensor = model.get_decoder()(**inputs).last_hidden_state
    return states


def logits_of(model: Any, states: Tensor, head: Any | None = None) -> Tensor:
    """The logits [..., V] of hidden states [..., H]; ``head``: a copy of the model's elsewhere."""
    logits: Tensor = (head or model.get_output_embeddings())(states)
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


@torch.no_grad()
def check_head(model: Any, name: str) -> None:
    """Refuse a model whose logits come about in another way.

    Raises:
        FileProblem: the two parts do not give the model's own logits.
    """
    tokens = torch.arange(1, 5, device=model.device).unsqueeze(0)
    whole = model(input_ids=tokens, use_cache=False).logits
    parts = logits_of(model, states_of(model, input_ids=tokens, use_cache=False))
    if not torch.allclose(whole.float(), parts.float(), rtol=1e-3, atol=1e-3):
        raise FileProblem(
            f"{name}: models of class {type(model).__name__} make their logits in a way that is "
            "not known here; set `model.path` to another model, or add its way to `logits_of` in "
            "selfcorrect/lm/head.py."
        )
