"""Adam on float32 copies: what bfloat16 weights would lose is kept, and runs go on."""

import copy

import pytest
import torch

from selfcorrect.learning.optimiser import Optimiser


def weights(dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shapes = [(4, 3), (5,), (2, 2, 2)]
    return [torch.randn(shape).to(torch.bfloat16).to(dtype).requires_grad_() for shape in shapes]


def step(optimiser: Optimiser, of: list[torch.Tensor], seed: int, parts: int = 1) -> float:
    """A step on gradients that bfloat16 holds exactly, in parts whose sum it does not."""
    generator = torch.Generator().manual_seed(seed)
    optimiser.zero_grad()
    for _ in range(parts):
        for weight in of:
            gradient = torch.randn(weight.shape, generator=generator).bfloat16()
            weight.grad = gradient.to(weight.dtype) + (0 if weight.grad is None else weight.grad)
        optimiser.accumulate()
    return optimiser.step(max_norm=0.5)


def test_it_is_adam_where_weights_are_float32():
    ours, plain = weights(torch.float32), weights(torch.float32)
    optimiser, adam = Optimiser(ours, 1e-2), torch.optim.Adam(plain, lr=1e-2)
    for seed in range(5):
        norm = step(optimiser, ours, seed)
        generator = torch.Generator().manual_seed(seed)
        for weight in plain:
            weight.grad = torch.randn(weight.shape, generator=generator).bfloat16().float()
        assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(plain, 0.5)))
        adam.step()
        for one, other in zip(ours, plain, strict=True):
            torch.testing.assert_close(one, other)


def test_low_precision_weights_are_the_rounded_float32_ones():
    exact, rounded = weights(torch.float32), weights(torch.bfloat16)
    optimisers = [Optimiser(of, 1e-2) for of in (exact, rounded)]
    for seed in range(5):
        norms = [step(o, of, seed) for o, of in zip(optimisers, (exact, rounded), strict=True)]
        assert norms[0] == pytest.approx(norms[1])
        for one, other in zip(exact, rounded, strict=True):
            assert other.dtype == torch.bfloat16
            assert torch.equal(one.bfloat16(), other)


def test_small_steps_are_not_lost():
    """Adam's first steps are of the learning rate's size; bfloat16 has eight bits."""
    of = [torch.ones(10, dtype=torch.bfloat16, requires_grad=True)]
    optimiser = Optimiser(of, 1e-4)
    for _ in range(100):
        optimiser.zero_grad()
        of[0].grad = torch.ones_like(of[0])
        optimiser.accumulate()
        optimiser.step(max_norm=100.0)
    assert float(of[0].detach()[0]) == pytest.approx(0.99, abs=0.003)


def test_parts_are_summed_in_float32():
    of = [torch.zeros(1, dtype=torch.bfloat16, requires_grad=True)]
    optimiser = Optimiser(of, 1.0)
    optimiser.zero_grad()
    for value in (256.0, 1.0, 1.0):  # 258 is beyond eight bits after 256 + 1
        of[0].grad = torch.full_like(of[0], value)
        optimiser.accumulate()
    assert [each.item() for each in optimiser.gradients()] == [258.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_goes_on_in_the_same_bits(dtype):
    of = weights(dtype)
    optimiser = Optimiser(of, 1e-2)
    for seed in range(3):
        step(optimiser, of, seed)
    saved, kept = copy.deepcopy(optimiser.state_dict()), [w.detach().clone() for w in of]
    for seed in range(3, 6):
        step(optimiser, of, seed)
    again = [w.requires_grad_() for w in kept]
    resumed = Optimiser(again, 1e-2)
    resumed.load_state_dict(saved)
    for seed in range(3, 6):
        step(resumed, again, seed)
    assert all(torch.equal(one, other) for one, other in zip(of, again, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_precision_goes_on_from_the_other(dtype):
    """Of sharded weights the float32 ones are the model's; elsewhere they are copies beside it."""
    of = weights(dtype)
    optimiser = Optimiser(of, 1e-2)
    for seed in range(3):
        step(optimiser, of, seed)
    saved, exact = copy.deepcopy(optimiser.state_dict()), copy.deepcopy(optimiser.copies)
    other = torch.bfloat16 if dtype is torch.float32 else torch.float32
    again = [torch.zeros_like(w, dtype=other).requires_grad_() for w in of]
    resumed = Optimiser(again, 1e-2)
    resumed.load_state_dict(saved)
    for weight, held, expected in zip(again, resumed.copies, exact, strict=True):
        assert torch.equal(held, expected)
        assert torch.equal(weight, expected.to(other))
    assert step(resumed, again, 3) == pytest.approx(step(optimiser, of, 3))
    for held, expected in zip(resumed.copies, optimiser.copies, strict=True):
        assert torch.equal(held, expected)


def test_where_the_norm_is_not_finite_nothing_moves():
    of = weights(torch.bfloat16)
    before = [weight.detach().clone() for weight in of]
    optimiser = Optimiser(of, 1e-2)
    of[0].grad = torch.full_like(of[0], float("nan"))
    optimiser.accumulate()
    assert not optimiser.step(1.0) < float("inf")
    assert all(torch.equal(one, other) for one, other in zip(before, of, strict=True))


def test_frozen_weights_are_left_alone():
    of = weights(torch.float32)
    of[1].requires_grad_(False)
    assert len(Optimiser(of, 1e-2).copies) == 2
