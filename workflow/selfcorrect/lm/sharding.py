"""Models in parts on the processes of a team (FSDP), and tensors whole and in parts.

`torch`'s own ``fully_shard`` is called, as `accelerate` does: its plugin asks for GPUs, and what is
proven on two CPU processes must be what runs on GPUs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(root: nn.Module, model: Any, dtype: torch.dtype, device: str) -> Any:
    """Shard ``model`` layer by layer, and what is not in a layer with ``root``, which holds it.

    ``device`` is the kind that the parts are to lie on; torch would take a GPU where it sees one.
    Layers gather their weights in ``dtype`` when they are called. Gradients are summed in float32
    over the processes, each of which goes back over its share of a batch.
    """
    precision = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    parts = [*model.get_decoder().layers, root]
    for part in parts:
        sharded = fully_shard(part, mesh=mesh, mp_policy=precision)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    return root


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which every process has a part; all processes must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(tensor: Tensor) -> Tensor:
    """The same, in the main memory: for a checkpoint, whose tensors no device has room for."""
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a tensor that every process has, cut as ``like`` is."""
    if not isinstance(like, DTensor):
        return tensor.to(like.device)
    tensor = tensor.to(like.to_local().device)
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)
