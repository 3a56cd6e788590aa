"""Every operator: streams like it runs, starts from a dense kernel, and is a linear map of its own columns."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flash_vaed import DecoderState
from flash_vaed.operators import OPERATORS, Operator
from flash_vaed.operators.base import convolve, low_rank, patches, sample_positions
from flash_vaed.spec import TIMES
from flash_vaed.state import Stream
from tests.flash_vaed.examples import scramble

IN, OUT = 6, 8  # with a common divisor, for groups
SAME = {"atol": 1e-5, "rtol": 1e-5}


CAUSAL = "causal_zero"


def make(name: str, time: str = CAUSAL) -> Operator:
    operator = OPERATORS.get(name)(IN, OUT, time)
    operator.slot = "here"
    scramble(operator, seed=3)
    return operator.eval().requires_grad_(False)


def made_from(name: str, kernel: tuple[Tensor, Tensor], time: str = CAUSAL) -> Operator:
    operator = make(name, time)
    operator.from_dense(*kernel)
    return operator


def realised(operator: Operator, time: str = CAUSAL) -> Tensor:
    """The dense causal kernel (OUT, IN, 3, 3, 3) that a linear operator amounts to: its answer to single pixels."""
    pulse = torch.zeros(IN, IN, 5, 5, 5)
    pulse[range(IN), range(IN), 2, 2, 2] = 1
    answer = operator(pulse, Stream.fresh()) - operator(torch.zeros_like(pulse), Stream.fresh())
    return answer[:, :, 2:5, 1:4, 1:4].flip(2, 3, 4).transpose(0, 1)


def clip(frames: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(2, IN, frames, 5, 4, generator=torch.Generator().manual_seed(seed))


def dense_kernel(seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(OUT, IN, 3, 3, 3, generator=generator), torch.randn(OUT, generator=generator)


def dense(x_NCTHW: Tensor, weight_OI333: Tensor, bias_O: Tensor, time: str = CAUSAL) -> Tensor:
    """The teachers' convolutions: zeros around space; zeros, or the nearest frame, where time ends."""
    if time == CAUSAL:
        x_NCTHW = F.pad(x_NCTHW, (0, 0, 0, 0, 2, 0))
    else:
        before, behind = (1, 1) if time == "centred_replicate" else (2, 0)
        x_NCTHW = F.pad(x_NCTHW, (0, 0, 0, 0, before, behind), mode="replicate")
    return F.conv3d(F.pad(x_NCTHW, (1, 1, 1, 1)), weight_OI333, bias_O)


@pytest.mark.parametrize("name", list(OPERATORS))
def test_sizes_stay_and_channels_change(name):
    assert make(name)(clip(), Stream.fresh()).shape == (2, OUT, 6, 5, 4)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("name", list(OPERATORS))
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_streaming_is_batch(name, chunk, time):
    operator, parts, state = make(name, time), [], DecoderState()
    chunks = clip().split(chunk, dim=2)
    for i, x in enumerate(chunks):
        stream = Stream(state, last=i == len(chunks) - 1)
        parts.append(operator(x, stream))
        state = stream.after(state.latents_seen + x.shape[2])
    torch.testing.assert_close(torch.cat(parts, dim=2), operator(clip(), Stream.fresh()), **SAME)


@pytest.mark.parametrize("name", list(OPERATORS))
def test_no_frame_sees_a_later_one(name):
    operator, x = make(name), clip()
    later = x.clone()
    later[:, :, 3:] += 1
    assert torch.equal(operator(later, Stream.fresh())[:, :, :3], operator(x, Stream.fresh())[:, :, :3])


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("name", list(OPERATORS))
def test_forward_is_columns_times_theta(name, time):
    """At every kind of place: frame 0, borders, corners, inside."""
    operator, x = make(name, time), clip()
    index = sample_positions(x.shape, 400, torch.Generator().manual_seed(0), first_frame=0)
    n, t, y, w = index
    assert {0, 5} <= set(t.tolist())
    rebuilt = mapped(operator.columns(x, index), operator.theta(), operator.last()[1])
    torch.testing.assert_close(rebuilt, operator(x, Stream.fresh())[n, :, t, y, w], **SAME)


def mapped(columns_GPK: Tensor, theta_GKO: Tensor, bias_O: Tensor) -> Tensor:
    """What the linear map says at every position, (P, O): the outputs of the first group come first."""
    return torch.cat(list(columns_GPK @ theta_GKO), dim=1) + bias_O


@pytest.mark.parametrize("name", list(OPERATORS))
def test_rows_are_theta_with_every_output_in_its_place(name):
    operator = make(name)
    theta, rows = operator.theta(), operator.rows()
    G, K, _ = theta.shape
    assert rows.shape == (OUT, K)
    for o in range(OUT):
        assert torch.equal(rows[o], theta[o // (OUT // G), :, o % (OUT // G)])


@pytest.mark.parametrize("name", list(OPERATORS))
def test_write_stores_the_map_that_theta_reads(name):
    operator, x = make(name), clip()
    index = sample_positions(x.shape, 50, torch.Generator().manual_seed(0), first_frame=0)
    theta = torch.randn(operator.theta().shape, generator=torch.Generator().manual_seed(5))
    bias = torch.linspace(-1, 1, OUT)
    operator.write(theta, bias)
    assert torch.equal(operator.theta(), theta)
    n, t, y, w = index
    torch.testing.assert_close(
        operator(x, Stream.fresh())[n, :, t, y, w], mapped(operator.columns(x, index), theta, bias), **SAME
    )


@pytest.mark.parametrize("name", list(OPERATORS))
def test_a_start_from_dense_takes_the_bias(name):
    operator, (_, bias) = make(name), dense_kernel()
    operator.from_dense(torch.zeros(OUT, IN, 3, 3, 3), bias)
    expected = bias.view(1, -1, 1, 1, 1).expand(2, OUT, 6, 5, 4)
    torch.testing.assert_close(operator(clip(), Stream.fresh()), expected, **SAME)


@pytest.mark.parametrize("time", TIMES)
def test_conv3d_takes_a_dense_kernel_exactly(time):
    operator, kernel = make("conv3d", time), dense_kernel()
    operator.from_dense(*kernel)
    torch.testing.assert_close(operator(clip(), Stream.fresh()), dense(clip(), *kernel, time), **SAME)


def test_conv2d_is_exact_on_what_stands_still():
    """From frame 2 on the dense kernel's three taps all see the same picture."""
    operator, kernel = make("conv2d"), dense_kernel()
    operator.from_dense(*kernel)
    still = clip()[:, :, :1].expand(-1, -1, 6, -1, -1)
    torch.testing.assert_close(operator(still, Stream.fresh())[:, :, 2:], dense(still, *kernel)[:, :, 2:], **SAME)
    assert (operator(still, Stream.fresh()) - dense(still, *kernel))[:, :, 0].abs().amax() > 0.1


def test_conv2d_remembers_nothing():
    stream = Stream(DecoderState())
    make("conv2d")(clip(), stream)
    assert stream.after(6).nbytes() == 0


def separable_kernel(seed: int = 2) -> tuple[Tensor, Tensor]:
    """A dense kernel that is one spatio-temporal filter per input channel, mixed to the outputs."""
    generator = torch.Generator().manual_seed(seed)
    taps, mix = torch.randn(IN, 27, generator=generator), torch.randn(OUT, IN, generator=generator)
    return (mix[:, :, None] * taps[None]).view(OUT, IN, 3, 3, 3), torch.randn(OUT, generator=generator)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("name", ["depthwise3d", "depthwise3d_5", "depthwise3d_x2"])
def test_depthwise3d_is_exact_for_one_filter_per_input(name, time):
    operator, kernel = make(name, time), separable_kernel()
    operator.from_dense(*kernel)
    torch.testing.assert_close(operator(clip(), Stream.fresh()), dense(clip(), *kernel, time), atol=1e-4, rtol=1e-5)


def test_depthwise3d_starts_at_the_nearest_separable_kernel():
    """What it misses are the discarded singular values (Eckart and Young), and its filters have a positive centre."""
    operator, (weight, bias) = make("depthwise3d"), dense_kernel()
    operator.from_dense(weight, bias)
    taps, mix = operator.depthwise_weight.view(IN, 27), operator.pointwise_weight.view(OUT, IN)
    missed = weight.reshape(OUT, IN, 27) - mix[:, :, None] * taps[None]
    values = torch.linalg.svdvals(weight.reshape(OUT, IN, 27).transpose(0, 1))
    assert missed.square().sum().item() == pytest.approx(values[:, 1:].square().sum().item(), rel=1e-4)
    torch.testing.assert_close(taps.norm(dim=1), torch.ones(IN))
    assert (taps.view(IN, 3, 3, 3)[:, 2, 1, 1] >= 0).all()


@pytest.mark.parametrize("time", TIMES)
def test_two_filters_are_exact_for_two_per_input(time):
    one, (two, bias) = separable_kernel(seed=2), separable_kernel(seed=3)
    kernel = one[0] + two, bias
    operator = made_from("depthwise3d_x2", kernel, time)
    torch.testing.assert_close(operator(clip(), Stream.fresh()), dense(clip(), *kernel, time), atol=1e-4, rtol=1e-5)
    alone = made_from("depthwise3d", kernel, time)
    assert (alone(clip(), Stream.fresh()) - dense(clip(), *kernel, time)).std() > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_two_filters_start_nearer_than_one(seed):
    """Also in weight space what two miss are the singular values from the third on."""
    weight, bias = dense_kernel(seed)
    one, two = (
        (weight - realised(made_from(name, (weight, bias)))).square().sum()
        for name in ("depthwise3d", "depthwise3d_x2")
    )
    values = torch.linalg.svdvals(weight.reshape(OUT, IN, 27).transpose(0, 1))
    torch.testing.assert_close(two, values[:, 2:].square().sum(), atol=1e-3, rtol=1e-4)
    assert two < one


def test_filters_taken_one_at_a_time_are_those_of_one_convolution():
    operator, x = make("depthwise3d_x2"), clip()
    weight, bias = operator.depthwise_weight, operator.depthwise_bias
    filtered = F.conv3d(F.pad(x, (1, 1, 1, 1, 2, 0)), weight, bias, groups=IN)
    mixed = F.conv3d(filtered, operator.pointwise_weight, operator.pointwise_bias)
    torch.testing.assert_close(operator(x, Stream.fresh()), mixed, **SAME)


def test_there_are_no_more_filters_than_output_channels():
    """Of a single output channel one filter per input is all there is to know."""
    operator = OPERATORS.get("depthwise3d_x2")(IN, 1)
    operator.from_dense(*(value[:1] for value in dense_kernel()))
    assert operator.depthwise_weight.shape == (IN, 1, 3, 3, 3)


def space_then_time_kernel(middle: int) -> tuple[Tensor, Tensor]:
    """A dense kernel that is `middle` spatial filters, mixed to the outputs over three frames."""
    generator = torch.Generator().manual_seed(4)
    space, over_time = (torch.randn(*shape, generator=generator) for shape in ((middle, IN, 3, 3), (OUT, middle, 3)))
    return torch.einsum("omt,miyx->oityx", over_time, space) / 5, torch.randn(OUT, generator=generator)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("middle", [1, OUT])
def test_conv2plus1d_is_exact_for_as_many_spatial_filters_as_it_has(middle, time):
    kernel = space_then_time_kernel(middle)
    operator = made_from("conv2plus1d", kernel, time)
    torch.testing.assert_close(operator(clip(), Stream.fresh()), dense(clip(), *kernel, time), atol=1e-4, rtol=1e-5)


def test_conv2plus1d_starts_at_the_nearest_kernel_of_its_kind():
    """What it misses are the discarded singular values, and its spatial filters are orthonormal."""
    kernel = dense_kernel()
    operator = made_from("conv2plus1d", kernel)
    values = torch.linalg.svdvals(kernel[0].permute(1, 3, 4, 0, 2).reshape(IN * 9, OUT * 3))
    missed = (kernel[0] - realised(operator)).square().sum()
    torch.testing.assert_close(missed, values[OUT:].square().sum(), atol=1e-3, rtol=1e-4)
    filters = operator.spatial_weight.flatten(1)
    torch.testing.assert_close(filters @ filters.T, torch.eye(OUT))


def test_conv2plus1d_has_no_more_spatial_filters_than_there_are_spatial_taps():
    operator = OPERATORS.get("conv2plus1d")(1, 12)
    weight, bias = torch.randn(12, 1, 3, 3, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(12)
    operator.from_dense(weight, bias)
    assert operator.spatial_weight.shape == (9, 1, 1, 3, 3)
    x = clip()[:, :1]
    torch.testing.assert_close(operator(x, Stream.fresh()), dense(x, weight, bias), atol=1e-4, rtol=1e-5)


def test_conv2plus1d_remembers_frames_it_has_filtered():
    """The next step need not filter them again."""
    operator, stream = make("conv2plus1d"), Stream(DecoderState())
    operator(clip(), stream)
    filtered = F.conv3d(clip(), operator.spatial_weight, padding=(0, 1, 1))
    torch.testing.assert_close(stream.after(6).memory["here"], filtered[:, :, -2:], **SAME)


def block_diagonal_kernel(groups: int) -> tuple[Tensor, Tensor]:
    """A dense kernel whose groups of outputs see their own group of inputs."""
    weight, bias = dense_kernel()
    outputs, inputs = torch.arange(OUT) // (OUT // groups), torch.arange(IN) // (IN // groups)
    return weight * (outputs[:, None] == inputs).view(OUT, IN, 1, 1, 1), bias


@pytest.mark.parametrize("time", TIMES)
def test_grouped3d_is_conv3d_on_a_block_diagonal_kernel(time):
    kernel = block_diagonal_kernel(groups=2)
    grouped, plain = made_from("grouped3d", kernel, time), made_from("conv3d", kernel, time)
    assert grouped.groups == 2
    torch.testing.assert_close(grouped(clip(), Stream.fresh()), plain(clip(), Stream.fresh()), **SAME)
    assert grouped.weight.numel() == plain.weight.numel() // 2


def test_grouped3d_drops_what_lies_between_groups():
    torch.testing.assert_close(realised(made_from("grouped3d", dense_kernel())), block_diagonal_kernel(2)[0], **SAME)


@pytest.mark.parametrize(("widths", "groups"), [((8, 8), 4), ((6, 8), 2), ((12, 4), 4), ((5, 10), 1), ((16, 3), 1)])
def test_grouped3d_has_as_many_groups_as_its_widths_allow(widths, groups):
    operator = OPERATORS.get("grouped3d")(*widths)
    assert operator.groups == groups
    assert operator.weight.shape == (widths[1], widths[0] // groups, 3, 3, 3)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3)])
def test_small_clips_are_convolved_like_large_ones(kernel, monkeypatch):
    """The way around PyTorch's slow convolution changes neither values nor gradients."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=generator) for shape in ((1, IN, 4, 6, 5), (OUT, IN, *kernel), (OUT,))]
    found = []
    for small in (True, False):
        monkeypatch.setattr("flash_vaed.operators.base.is_small_clip", lambda x, small=small: small)
        x, weight, bias = (value.clone().requires_grad_() for value in inputs)
        y = convolve(x, weight, bias)
        found.append([y, *torch.autograd.grad(y.square().sum(), (x, weight, bias))])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-4)


def test_patches_come_in_the_order_of_a_flattened_kernel():
    x, (weight, bias) = clip(), dense_kernel()
    index = sample_positions(x.shape, 100, torch.Generator().manual_seed(0), first_frame=0)
    n, t, y, w = index
    rebuilt = patches(x, index, (3, 3, 3)) @ weight.flatten(1).T + bias
    torch.testing.assert_close(rebuilt, dense(x, weight, bias)[n, :, t, y, w], atol=1e-4, rtol=1e-4)


def test_sampled_positions_are_inside_and_repeatable():
    shape = torch.Size((2, 9, 3, 4, 5))
    draw = [sample_positions(shape, 500, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*draw, strict=True))
    n, t, y, x = draw[0]
    ranges = [(axis.min().item(), axis.max().item()) for axis in (n, t, y, x)]
    assert ranges == [(0, 1), (1, 2), (0, 3), (0, 4)]  # frame 0, without a past, is left out


def test_a_lone_frame_is_sampled_all_the_same():
    _, t, _, _ = sample_positions(torch.Size((1, 3, 1, 4, 4)), 10, torch.Generator())
    assert t.tolist() == [0] * 10


@pytest.mark.parametrize("first_frame", [0, 1])
@pytest.mark.parametrize("spare", [0, 100])
def test_where_positions_are_few_each_is_taken_once(first_frame, spare):
    shape = torch.Size((2, 9, 3, 4, 5))
    every = [p for p in itertools.product(*(range(shape[axis]) for axis in (0, 2, 3, 4))) if p[1] >= first_frame]
    index = sample_positions(shape, len(every) + spare, torch.Generator(), first_frame)
    assert torch.stack(index, dim=1).tolist() == [list(p) for p in every]
    drawn = sample_positions(shape, len(every) - 1, torch.Generator().manual_seed(0), first_frame)
    assert len(set(zip(*(axis.tolist() for axis in drawn), strict=True))) < len(every) - 1  # with replacement


@pytest.mark.parametrize("shape", [(3, 10, 6), (2, 5, 27), (40, 12)])
def test_a_low_rank_approximation_is_that_of_the_singular_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    for rank in (1, 3, 5):
        left, scale, right = low_rank(matrix, rank)
        torch.testing.assert_close(
            left * scale.unsqueeze(-2) @ right, u[..., :rank] * s[..., None, :rank] @ vt[..., :rank, :]
        )
        torch.testing.assert_close(scale, s[..., :rank])
        torch.testing.assert_close(left.norm(dim=-2), torch.ones_like(scale))
