"""One ridge regression: exact where it can be, near its prior where data are few."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flash_vaed import StagePlan
from flash_vaed.families.blocks import Pointwise, ResidualBlock
from flash_vaed.operators import OPERATORS
from flash_vaed.operators.base import at, sample_positions
from flash_vaed.pruning.layers.residual import solve_with_projection
from flash_vaed.pruning.regression import FIRST_SHARE, RIDGE, Regression, Sampler, fit_gain, solve
from flash_vaed.state import Stream
from tests.flash_vaed.examples import scramble


def rows(count: int, seed: int = 0) -> torch.Tensor:
    """(count, 6) correlated regressors with a mean."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(6, 6, generator=generator)
    return torch.randn(count, 6, generator=generator) @ mix + torch.arange(6.0)


def ridge(columns_GPK, target_PO, prior_GKO, strength: float = RIDGE):
    """The solution from one batch of samples."""
    regression = Regression(prior_GKO)
    regression.add(columns_GPK, target_PO)
    return regression.solve(strength)


def test_ridge_finds_a_linear_map_and_its_bias():
    columns, truth = rows(500), torch.randn(6, 2, generator=torch.Generator().manual_seed(3))
    target = columns @ truth + torch.tensor([1.0, -2.0])
    theta, bias = ridge(columns[None], target, torch.zeros(1, 6, 2), strength=1e-8)
    torch.testing.assert_close(theta[0], truth, atol=1e-3, rtol=0)
    torch.testing.assert_close(bias, torch.tensor([1.0, -2.0]), atol=1e-2, rtol=0)


def test_a_prior_that_is_right_stays():
    columns, truth = rows(50), torch.randn(6, 2, generator=torch.Generator().manual_seed(3))
    theta, bias = ridge(columns[None], columns @ truth + 0.5, truth[None], strength=10.0)
    torch.testing.assert_close(theta[0], truth, atol=1e-4, rtol=0)
    torch.testing.assert_close(bias, torch.full((2,), 0.5), atol=1e-3, rtol=0)


def test_with_few_samples_the_prior_decides_what_they_cannot():
    """One sample says nothing after centring: theta is the prior, the bias meets the sample."""
    columns, prior = rows(1), torch.randn(6, 2, generator=torch.Generator().manual_seed(3))
    target = torch.tensor([[3.0, 4.0]])
    theta, bias = ridge(columns[None], target, prior[None])
    torch.testing.assert_close(theta[0], prior)
    torch.testing.assert_close(columns @ theta[0] + bias, target)


def test_a_stronger_ridge_stays_nearer_its_prior():
    columns, prior = rows(100), torch.zeros(6, 1)
    target = columns.sum(dim=1, keepdim=True)
    norms = [ridge(columns[None], target, prior[None], strength)[0].norm().item() for strength in (1e-6, 1.0, 100.0)]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 0.3 * norms[0]


def test_groups_are_solved_apart():
    """Each as if it were alone, with a bias and a ridge of its own, whatever the size of the others' columns."""
    small, large = rows(300, seed=1), 100 * rows(300, seed=2)
    truth = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(3))
    target = torch.cat([small @ truth[0], large @ truth[1] + 7], dim=1)
    prior = torch.zeros(2, 6, 3)
    theta, bias = ridge(torch.stack([small, large]), target, prior)
    for g, columns in enumerate((small, large)):
        mine = slice(3 * g, 3 * g + 3)
        alone, its_bias = ridge(columns[None], target[:, mine], prior[:1])
        torch.testing.assert_close(theta[g], alone[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(bias[mine], its_bias, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", list(OPERATORS))
def test_a_convolution_and_the_projection_beside_it_are_solved_together(name):
    """A target made by a block of the same kind, found again though neither of the two starts near it."""
    plan = StagePlan(name, 6, 1, shortcut="always")
    truth, found = (
        ResidualBlock(4, plan, "causal_zero", nn.Identity, Pointwise).requires_grad_(False) for _ in range(2)
    )
    scramble(truth, seed=1)
    found.load_state_dict(truth.state_dict())
    found.conv2.write(torch.zeros_like(found.conv2.theta()), torch.zeros(6))
    found.shortcut.weight.zero_()
    generator = torch.Generator().manual_seed(0)
    activated, x = (torch.randn(2, width, 5, 8, 8, generator=generator) for width in (6, 4))
    target = truth.conv2(activated, Stream.fresh()) + truth.shortcut(x)
    index = sample_positions(x.shape, 3000, generator, first_frame=0)
    solve_with_projection(found.conv2, found.shortcut, [(activated, x, index, at(target, index))])
    result = found.conv2(activated, Stream.fresh()) + found.shortcut(x)
    assert (result - target).square().mean() < 1e-4 * target.var()


@pytest.mark.parametrize("name", list(OPERATORS))
def test_an_operator_refitted_to_what_it_could_do_does_it(name):
    """A target made by the same kind of operator, found again from samples of it."""
    truth, found = (OPERATORS.get(name)(4, 6) for _ in range(2))
    scramble(truth, seed=1)
    scramble(found, seed=1)
    found.write(torch.zeros_like(found.theta()), torch.zeros(6))
    x = torch.randn(2, 4, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    target = truth.requires_grad_(False)(x, Stream.fresh())
    index = sample_positions(x.shape, 3000, torch.Generator().manual_seed(2))
    solve(found, [(x, index, at(target, index))])
    result = found.requires_grad_(False)(x, Stream.fresh())
    assert (result - target).square().mean() < 1e-4 * target.var()


def test_clips_added_one_by_one_are_one_regression():
    columns, prior = rows(400), torch.randn(1, 6, 2, generator=torch.Generator().manual_seed(1))
    target = torch.randn(400, 2, generator=torch.Generator().manual_seed(2))
    parts = Regression(prior)
    for piece in (slice(0, 30), slice(30, 400)):
        parts.add(columns[None, piece], target[piece])
    for ours, theirs in zip(parts.solve(), ridge(columns[None], target, prior), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_loud_mean_costs_no_precision():
    """Columns a thousand deviations away from zero: sums of raw products would leave nothing of them in float32."""
    columns, truth = rows(500) + 1000, torch.randn(6, 2, generator=torch.Generator().manual_seed(3))
    theta, _ = ridge(columns[None], columns @ truth, torch.zeros(1, 6, 2), strength=1e-8)
    torch.testing.assert_close(theta[0], truth, atol=1e-2, rtol=0)


def test_the_first_frame_gets_its_share_and_no_more():
    n, t, y, x = Sampler(clips=2, seed=0)(torch.zeros(1, 3, 9, 40, 40))
    assert len(n) == len(t) == len(y) == len(x) == 6144
    assert (t == 0).sum() == round(6144 * FIRST_SHARE)
    only = Sampler(clips=2, seed=0)(torch.zeros(1, 3, 1, 40, 40))
    assert len(only[1]) > 0
    assert set(only[1].tolist()) == {0}


@pytest.mark.parametrize("size", [2, 5, 40])
def test_the_first_frame_keeps_its_share_where_every_later_position_is_seen(size):
    """At low resolution there are fewer positions than samples; the first frame must not count for more there."""
    _, t, _, _ = Sampler(clips=1, seed=0)(torch.zeros(1, 3, 9, size, size))
    share = (t == 0).float().mean().item()
    assert share == pytest.approx(FIRST_SHARE, abs=1 / len(t))
    assert share > 0


def test_a_gain_is_the_least_squares_one_and_a_norm_without_stays():
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(4))

        def unit(self, x):
            return x

    norm, x = Norm().requires_grad_(False), torch.randn(1, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    index = sample_positions(x.shape, 75, torch.Generator().manual_seed(0), first_frame=0)
    gain = torch.tensor([0.5, -1.0, 2.0, 3.0])
    fit_gain(norm, [(x, index, at(x, index) * gain)])
    torch.testing.assert_close(norm.gamma, gain)
    fit_gain(nn.Identity(), [(x, index, at(x, index))])
