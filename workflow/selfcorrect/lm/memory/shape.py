"""A model's shape, read from its configuration without its weights: all that memory depends on."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from selfcorrect.lm.models import with_adapter
from selfcorrect.spec import LoRA


@dataclass(frozen=True)
class Shape:
    """Sizes of a causal model whose layers are alike."""

    parameters: int  # all of them, tied ones once
    trained: int  # those that require a gradient
    head: int  # parameters of the output embedding
    layers: int
    hidden: int  # features of the residual stream
    intermediate: int  # features inside the feed-forward part of a layer
    heads: int
    kv_heads: int
    head_size: int  # features
    vocabulary: int
    norms: int  # in a layer, of features as many as the residual stream's
    wide_norms: bool  # whether they multiply by their weight in float32, as Gemma's do
    sdpa: bool  # whether attention is PyTorch's own where the config does not say
    softcap: bool  # whether attention scores are capped
    adapted: int  # features that the adapters of a layer read and make inside them


Shapes = Callable[[LoRA | None], Shape]  # of one model, with adapters


def shape_of(config: Any, lora: LoRA | None = None) -> Shape:
    """The shape of a model of this `transformers` configuration, with an adapter if there is one.

    Raises:
        ConfigError: it has no layers of the names that ``lora`` asks for.
    """
    with torch.device("meta"):
        # Eager attention is there for every model; the configuration would note it.
        model = AutoModelForCausalLM.from_config(deepcopy(config), attn_implementation="eager")
        head, sdpa = model.get_output_embeddings().weight.numel(), bool(model._supports_sdpa)
        if lora is not None:
            model = with_adapter(model, lora)
    text = config.get_text_config()
    layers, hidden = text.num_hidden_layers, text.hidden_size
    inside = [module for name, module in model.named_modules() if ".layers." in name]
    norms = [
        module
        for module in inside
        if not isinstance(module, nn.Linear)
        and [each.shape for each in module.parameters(recurse=False)] == [(hidden,)]
    ]
    adapters = [
        module.lora_A["default"] for module in inside if "default" in getattr(module, "lora_A", {})
    ]
    return Shape(
        parameters=sum(each.numel() for each in model.parameters()),
        trained=sum(each.numel() for each in model.parameters() if each.requires_grad),
        head=head,
        layers=layers,
        hidden=hidden,
        intermediate=text.intermediate_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_size=getattr(text, "head_dim", None) or hidden // text.num_attention_heads,
        vocabulary=text.vocab_size,
        norms=len(norms) // layers,
        wide_norms=any(type(norm).__name__.startswith("Gemma") for norm in norms),
        sdpa=sdpa,
        softcap=getattr(text, "attn_logit_softcapping", None) is not None,
        adapted=sum(each.in_features + each.out_features for each in adapters) // layers,
    )
