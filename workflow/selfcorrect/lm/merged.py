"""The weights of a model with adapters as an ordinary model's, for engines that want those."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BASE = ".base_layer."  # between the name of a layer with an adapter and its own weights'


@torch.no_grad()
def merged_weights(model: Any) -> Iterator[tuple[str, Tensor]]:
    """The weights that ``model`` computes with, under its base's names; it is left as it is.

    One weight matrix at a time is made, W + scale · B A of its LoRA adapter, so that no second
    model is in memory. Of a model without adapters: its own weights.
    """
    from peft import PeftModel

    base = model.get_base_model() if isinstance(model, PeftModel) else model
    for name, value in base.state_dict().items():
        layer, adapted, rest = name.partition(BASE)
        if adapted and rest == "weight":
            yield f"{layer}.{rest}", _merged(base.get_submodule(layer), value)
        elif adapted:
            yield f"{layer}.{rest}", value
        elif ".lora_" not in name:
            yield name, value


def _merged(layer: Any, weight: Tensor) -> Tensor:
    """The weight of a layer with its active adapters, in its own precision."""
    total = weight
    for adapter in layer.active_adapters:
        total = total + layer.get_delta_weight(adapter)  # the adapter may be of higher precision
    return total.to(weight.dtype)
