"""Rules of the Wan family that a parity test alone would not explain."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flash_vaed import Decoder, StagePlan
from flash_vaed.families.wan import RmsNorm, TimeConv, wan_spec
from flash_vaed.state import Stream
from tests.flash_vaed.examples import random_decoder, random_latents, scramble, tiny_spec


def test_the_norm_gives_unit_mean_square_whatever_the_loudness():
    norm = RmsNorm(6)
    scramble(norm)
    x = torch.randn(1, 6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(RmsNorm.unit(x).square().mean(dim=1), torch.ones(1, 2, 3, 3))
    torch.testing.assert_close(norm(1000 * x), norm(x))
    torch.testing.assert_close(norm(x), RmsNorm.unit(x) * norm.gamma.view(1, -1, 1, 1, 1))


def test_the_norm_is_torchs_with_its_gradients():
    """Zeros, where the length has no gradient, included."""
    x = torch.randn(2, 5, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    x[:, :, 0, 0] = 0
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    gradients = []
    for unit in (RmsNorm.unit, lambda y: F.normalize(y, dim=1) * 5**0.5):
        y = x.clone().requires_grad_()
        torch.testing.assert_close(unit(y), F.normalize(x, dim=1) * 5**0.5)
        gradients.append(torch.autograd.grad((unit(y) * weights).sum(), y)[0])
    seen = x.abs().sum(dim=1, keepdim=True).expand_as(x) > 0
    torch.testing.assert_close(gradients[0][seen], gradients[1][seen])
    assert gradients[0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_norm_of_half_precision_does_not_overflow(dtype):
    x = torch.full((1, 384, 1, 2, 2), 200.0, dtype=dtype)
    x[..., 0] = 0
    unit = RmsNorm.unit(x)
    assert unit.dtype == dtype
    torch.testing.assert_close(unit[..., 1].float(), torch.ones(1, 384, 1, 2))
    assert unit[..., 0].abs().amax() == 0


def test_the_norm_of_nothing_is_nothing():
    assert RmsNorm(4)(torch.zeros(1, 4, 1, 1, 1)).abs().max() == 0


def time_conv() -> TimeConv:
    module = TimeConv(3)
    scramble(module)
    module.slot = "here"
    return module.requires_grad_(False)


def test_time_upsampling_passes_the_first_frame_and_doubles_the_rest():
    x = torch.randn(1, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    y = time_conv()(x, Stream.fresh())
    assert y.shape[2] == 1 + 2 * 3
    assert torch.equal(y[:, :, :1], x[:, :, :1])


def test_time_upsampling_never_sees_the_first_frame():
    """Its history in front of the second latent is zeros, not the first latent."""
    x = torch.randn(1, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[:, :, 0] = 9
    module = time_conv()
    assert torch.equal(module(other, Stream.fresh())[:, :, 1:], module(x, Stream.fresh())[:, :, 1:])


def test_the_two_halves_of_the_channels_are_two_frames_in_order():
    module = time_conv()
    module.weight.zero_()
    module.bias.copy_(torch.tensor([1.0, 2, 3, 10, 20, 30]))
    y = module(torch.zeros(1, 3, 3, 1, 1), Stream.fresh())[0, :, :, 0, 0]
    assert y.T.tolist() == [[0, 0, 0], [1, 2, 3], [10, 20, 30], [1, 2, 3], [10, 20, 30]]


def test_attention_mixes_pixels_of_a_frame_but_no_frames():
    attention = random_decoder().stages["mid"].attention
    x = torch.randn(1, 32, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, :, 1, 0, 0] += 1
    mixed, otherwise = (attention(clip, Stream.fresh()) for clip in (x, changed))
    moved = (otherwise - mixed).abs().amax(dim=1)[0]
    assert moved[[0, 2]].max() == 0
    assert moved[1].min() > 0


@pytest.mark.parametrize("shortcut", ["auto", "always"])
def test_a_shortcut_projects_where_widths_change_or_the_plan_says_so(shortcut):
    spec = tiny_spec()
    decoder = Decoder(spec.with_stages(up3=StagePlan("conv2d", 8, 2, shortcut=shortcut)))
    projected = [hasattr(block.shortcut, "weight") for block in decoder.stages["up3"].blocks]
    assert projected == [shortcut == "always"] * 2
    assert [hasattr(block.shortcut, "weight") for block in decoder.stages["up1"].blocks] == [True, False]


def test_stage_names_and_widths_are_the_released_ones():
    stages = wan_spec().stages
    assert list(stages) == ["mid", "up0", "up1", "up2", "up3"]
    assert [stage.channels for stage in stages.values()] == [384, 384, 384, 192, 96]
    assert [stage.upsample for stage in stages.values()] == [
        "none", "spatiotemporal", "spatiotemporal", "spatial", "none",
    ]  # fmt: skip


def test_an_unknown_operator_or_family_suggests_the_nearest():
    spec = tiny_spec()
    with pytest.raises(ValueError, match="unknown operator 'conv2'; did you mean 'conv2d'"):
        Decoder(spec.with_stages(up3=StagePlan("conv2", 8, 2)))
    with pytest.raises(ValueError, match="unknown family 'wam'; did you mean 'wan'"):
        Decoder(type(spec)("wam", spec.latents, spec.stages))


def test_any_operator_in_any_stage_decodes_the_same_shape(teacher):
    spec = teacher.spec
    for operator in ("conv3d", "conv2d", "depthwise3d"):
        changed = {name: StagePlan(**{**vars(stage), "operator": operator}) for name, stage in spec.stages.items()}
        decoder = random_decoder(spec.with_stages(**changed))
        assert decoder.decode(random_latents(2)).shape == (1, 3, 5, 16, 16)
