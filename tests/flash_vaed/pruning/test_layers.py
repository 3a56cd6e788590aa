"""One upsampler at a time: it is linear, so where the kept channels rebuild the lost ones nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from flash_vaed import StagePlan
from flash_vaed.families.ltx import ShuffleUpsampler
from flash_vaed.families.wan import Upsampler
from flash_vaed.pruning.layers import Clip, Cut, kind_of
from flash_vaed.pruning.regression import Sampler
from flash_vaed.pruning.statistics import Moments, Statistics
from flash_vaed.state import Stream
from tests.flash_vaed.examples import scramble

KEPT, WRITTEN = [1, 3, 4], [0, 2, 5]
MIX = torch.randn(6, 3, generator=torch.Generator().manual_seed(9))
MIX[KEPT] = torch.eye(3)


def redundant(seed: int) -> Tensor:
    """x (1, 6, 5, 6, 6) that its three channels `KEPT` rebuild exactly."""
    sources = torch.randn(1, 3, 5, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.einsum("ck,nkthw->ncthw", MIX, sources)


def moments(x_NCTHW: Tensor) -> Moments:
    rows = x_NCTHW.movedim(1, -1).flatten(0, 3).double()
    return Moments(rows.mean(dim=0), rows.T.cov(correction=0))


@pytest.fixture(params=["ltx", "spatial", "spatiotemporal"])
def layers(request) -> tuple[Any, Any]:
    """A student with half of the channels, and its teacher."""
    if request.param == "ltx":
        ours, theirs = (ShuffleUpsampler(width, "centred_replicate") for width in (3, 6))
    else:
        ours, theirs = (Upsampler(StagePlan("conv3d", width, 1, request.param, width)) for width in (3, 6))
    scramble(theirs)
    ours.requires_grad_(False)
    theirs.requires_grad_(False)
    if request.param == "spatiotemporal":  # the frames it makes are as redundant as those it gets
        for value in (theirs.time_conv.weight, theirs.time_conv.bias):
            halves = value.view(2, 6, -1)
            halves.copy_(torch.einsum("ck,hkr->hcr", MIX, halves[:, KEPT]))
    return ours, theirs


def cut_of(theirs: Any, fold: bool = True) -> Cut:
    x = redundant(seed=0)
    inside = (
        {} if isinstance(theirs, ShuffleUpsampler) else {"up.conv:input": moments(theirs.enlarge(x, Stream.fresh()))}
    )
    return Cut("up", KEPT, [], WRITTEN, moments(x), Statistics(inside), fold)


def missed(ours: Any, theirs: Any) -> float:
    """Share of the variance, of what the student is to write, that it gets wrong on another clip."""
    x = redundant(seed=1)
    target = theirs(x, Stream.fresh())[:, WRITTEN]
    return float((ours(x[:, KEPT], Stream.fresh()) - target).square().mean() / target.var())


def test_folding_redundant_channels_loses_nothing_and_slicing_does(layers):
    ours, theirs = layers
    kind_of(ours).cut(ours, theirs, cut_of(theirs, fold=False))
    assert missed(ours, theirs) > 0.1
    kind_of(ours).cut(ours, theirs, cut_of(theirs))
    assert missed(ours, theirs) < 1e-6


def test_regression_finds_it_from_zeros(layers):
    ours, theirs = layers
    for parameter in ours.parameters():
        parameter.zero_()
    clips = [Clip(x[:, KEPT], x) for x in (redundant(seed) for seed in range(2, 12))]
    kind_of(ours).refit(ours, theirs, cut_of(theirs), clips, Sampler(len(clips), seed=0))
    assert missed(ours, theirs) < 1e-3
    for clip in clips:  # moved on to the next layer, both
        torch.testing.assert_close(clip.x, clip.x_teacher[:, WRITTEN], atol=0.1, rtol=0)


def test_a_lost_channels_constant_goes_into_the_bias():
    x = redundant(seed=0) + torch.arange(6.0).view(6, 1, 1, 1)
    weight, bias = torch.randn(2, 6, 1, generator=torch.Generator().manual_seed(2)), torch.tensor([0.5, -1.0])
    cut = Cut("up", KEPT, [], [0, 1], moments(x), Statistics({}), fold=True)
    small, small_bias = cut.linear(weight, bias, [0, 1], KEPT, cut.before)
    rows = x[0].flatten(1).T
    given = rows[:, KEPT] @ small[:, :, 0].T + small_bias
    torch.testing.assert_close(given, rows @ weight[:, :, 0].T + bias, atol=1e-3, rtol=0)
