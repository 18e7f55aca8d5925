"""Models in parts, in a team of one process: where the parts lie."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch.distributed.tensor import DTensor

from selfcorrect.lm.sharding import shard
from tiny import bare_model


@pytest.fixture
def team_of_one() -> Iterator[None]:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("team_of_one")
def test_parts_lie_where_they_are_told_to_whatever_else_the_machine_has(monkeypatch):
    monkeypatch.setattr(torch._C, "_get_accelerator", lambda *_: torch.device("cuda"))
    model = copy.deepcopy(bare_model())
    root = shard(torch.nn.Sequential(model), model, torch.float32, "cpu")
    parts = list(root.parameters())
    assert parts and all(isinstance(part, DTensor) for part in parts)
    assert {part.device_mesh.device_type for part in parts} == {"cpu"}
    assert {part.to_local().device.type for part in parts} == {"cpu"}
