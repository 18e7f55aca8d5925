"""The policy that is trained, on one process or several: what it says of a batch, and its weights.

Every process samples from a whole model. What is trained is that very model, each process having
all of it (``Replicated``), or a float32 copy that lies in parts on the processes (``Sharded``),
whose values are brought into the sampled model after every step.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from selfcorrect.learning.policy_gradient import TokenStatistics
from selfcorrect.learning.scoring import score
from selfcorrect.lm.batch import TraceBatch
from selfcorrect.lm.reference import Reference
from selfcorrect.lm.sharding import gathered, part_of, shard, whole
from selfcorrect.lm.team import Team


class Policy(Protocol):
    """What a trainer asks of the policy."""

    def score(self, batch: TraceBatch, reference: Reference, **how: Any) -> TokenStatistics:
        """``scoring.score`` of a batch."""
        ...

    def parameters(self) -> Sequence[Tensor]:
        """What an optimiser moves."""
        ...

    def reduce(self, gradients: Sequence[Tensor]) -> None:
        """Sum the gradients of ``parameters`` over the team, where that is not done already."""
        ...

    def publish(self) -> None:
        """Bring new values of the parameters into the model that is sampled."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Those that are trained, whole, by name: with an adapter, its own."""
        ...

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take ``weights``, those of the other kind of policy too."""
        ...


class Replicated:
    """Every process has the whole model and the whole optimiser."""

    def __init__(self, model: Any, team: Team) -> None:
        self._model, self._team = model, team
        self.score = partial(score, model)

    def parameters(self) -> Sequence[Tensor]:
        """See ``Policy``."""
        return [weight for weight in self._model.parameters() if weight.requires_grad]

    def reduce(self, gradients: Sequence[Tensor]) -> None:
        """See ``Policy``."""
        self._team.add(gradients)

    def publish(self) -> None:
        """See ``Policy``."""

    def weights(self) -> dict[str, Tensor]:
        """See ``Policy``."""
        named = self._model.named_parameters()
        return {name: weight.detach() for name, weight in named if weight.requires_grad}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See ``Policy``."""
        self._model.load_state_dict(weights, strict=False)


class Sharded:
    """Weights, gradients and optimiser in parts on the processes of a team (FSDP)."""

    def __init__(self, model: Any) -> None:
        """``model`` is what is sampled; it gives the weights to begin with and the precision."""
        self._model = model
        trained = copy.deepcopy(model).to("cpu", torch.float32)  # parts of it move to the device
        self._scorer = shard(_Scorer(trained), trained, model.dtype, model.device.type)

    def score(self, batch: TraceBatch, reference: Reference, **how: Any) -> TokenStatistics:
        """See ``Policy``."""
        return TokenStatistics(*self._scorer(batch, reference, **how))

    def parameters(self) -> Sequence[Tensor]:
        """See ``Policy``."""
        return list(self._scorer.parameters())

    def reduce(self, gradients: Sequence[Tensor]) -> None:
        """See ``Policy``: on the way back every process was sent the sum of its part."""

    def publish(self) -> None:
        """See ``Policy``."""
        sampled = dict(self._model.named_parameters())
        with torch.no_grad():
            for name, weight in self._scorer.model.named_parameters():
                sampled[name].copy_(whole(weight))

    def weights(self) -> dict[str, Tensor]:
        """See ``Policy``."""
        named = self._scorer.model.named_parameters()
        return {name: gathered(weight.detach()) for name, weight in named}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See ``Policy``."""
        with torch.no_grad():
            for name, weight in self._scorer.model.named_parameters():
                weight.copy_(part_of(weights[name], weight))
        self.publish()


class _Scorer(nn.Module):
    """The root of what is sharded: its call gathers embeddings and head for all that is inside."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: Any, **how: Any) -> tuple[Tensor, ...]:
        """``scoring.score`` of the model, as FSDP needs it to find where the way back begins."""
        statistics = score(self.model, *arguments, **how)
        return statistics.logprobs, statistics.kl, statistics.entropy
