"""Which parameters go where, that both optimisers really move them, and that a resumed one goes on alike."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from flash_vaed.optim import HybridOptimizer, cosine_rate, split_parameters
from tests.flash_vaed.examples import random_decoder, tiny_spec


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.Conv3d(4, 1, 1))


def train(net: nn.Module, optimizer: HybridOptimizer, steps: int) -> float:
    x = torch.randn(4, 2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    target, loss = x.mean(dim=1, keepdim=True), torch.tensor(0.0)
    for _ in range(steps):
        loss = (net(x) - target).square().mean()
        loss.backward()
        optimizer.step(1.0)
    return loss.item()


def optimizer_of(net: nn.Module) -> HybridOptimizer:
    hidden, edges = split_parameters(net, edge_prefixes=("1",))
    assert len(hidden) == 1
    return HybridOptimizer(hidden, edges, muon_lr=0.02, adamw_lr=1e-2)


def test_hidden_kernels_and_edges_both_learn():
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = optimizer_of(net)
    first, last = train(net, optimizer, 1), train(net, optimizer, 40)
    assert last < 0.2 * first
    assert all(not torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_muon_works_on_the_kernel_itself():
    """The flat matrix shares the kernel's storage; a copy would train nothing."""
    net = network()
    kernel = net[0].weight
    pointer, before = kernel.data_ptr(), kernel.clone()
    train(net, optimizer_of(net), 1)
    assert kernel.data_ptr() == pointer
    assert not torch.equal(kernel, before)


def test_a_resumed_optimiser_goes_on_alike():
    whole, halves = network(), network()
    train(whole, optimizer_of(whole), 8)
    first = optimizer_of(halves)
    train(halves, first, 4)
    second = optimizer_of(halves)
    second.load_state_dict(first.state_dict())
    train(halves, second, 4)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halves.parameters(), strict=True))


def test_gradients_are_clipped_and_cleared():
    net = network()
    optimizer = optimizer_of(net)
    (1e6 * net(torch.ones(1, 2, 1, 1, 1))).sum().backward()
    assert optimizer.step(1.0) > 1e5
    assert all(parameter.grad is None for parameter in net.parameters())


def test_rate_zero_moves_nothing():
    net = network()
    before = [parameter.clone() for parameter in net.parameters()]
    net(torch.ones(1, 2, 1, 1, 1)).sum().backward()
    optimizer_of(net).step(0.0)
    assert all(torch.equal(parameter, kept) for parameter, kept in zip(net.parameters(), before, strict=True))


def test_every_parameter_of_a_decoder_is_in_one_group():
    decoder = random_decoder(tiny_spec(4)).requires_grad_()
    hidden, edges = split_parameters(decoder, edge_prefixes=("entry", "head"))
    assert {id(p) for p in (*hidden, *edges)} == {id(p) for p in decoder.parameters()}
    assert len(hidden) + len(edges) == len(list(decoder.parameters()))
    assert all(parameter.ndim >= 2 and parameter.shape[1] > 1 for parameter in hidden)
    edge_ids = {id(p) for p in edges}
    assert {id(decoder.entry.conv.weight), id(decoder.head.conv.weight), id(decoder.head.norm.gamma)} <= edge_ids


@pytest.mark.parametrize(("step", "rate"), [(0, 0.25), (3, 1.0), (4, 1.0), (54, 0.5), (104, 0.0)])
def test_the_schedule_warms_up_and_ends_at_zero(step, rate):
    assert cosine_rate(step, 104, warmup=4) == pytest.approx(rate)


def test_the_schedule_falls_steadily():
    rates = [cosine_rate(step, 100, 5) for step in range(5, 101)]
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert math.isclose(rates[-1], 0, abs_tol=1e-12)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_gradient_that_is_no_number_moves_nothing(bad):
    kernel, edge = (nn.Parameter(torch.ones(3, 3)) for _ in range(2))
    optimizer = HybridOptimizer([kernel], [edge], 0.1, 0.1)
    kernel.grad, edge.grad = torch.ones(3, 3), torch.full((3, 3), bad)
    with pytest.raises(FloatingPointError, match="the gradient's norm is"):
        optimizer.step(1.0)
    assert torch.equal(kernel, torch.ones(3, 3))
    assert torch.equal(edge, torch.ones(3, 3))
