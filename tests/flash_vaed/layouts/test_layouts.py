"""Released checkpoints load strictly, are told apart by their keys, and give the released programs' frames."""

from __future__ import annotations

import functools
import random

import pytest
import torch
from torch import Tensor

from flash_vaed import CheckpointError, Decoder, StagePlan, load_decoder, load_teacher
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import WAN22_LATENTS, wan_spec
from flash_vaed.layouts import LAYOUTS, recognise
from tests.flash_vaed.examples import random_latents, scramble
from tests.flash_vaed.layouts.released import checkpoint, reference

EXACT = {"atol": 2e-4, "rtol": 0.0}
LAYOUT = {"wan2.1_vae": "wan_original", "flash_vaed_wan": "wan_original", "flash_vaed_ltx": "ltx_diffusers"}


@functools.cache
def released(name: str) -> tuple[dict[str, Tensor], Decoder]:
    weights = checkpoint(name)
    spec, own = LAYOUTS.get(recognise(weights)).read(weights, {})
    decoder = Decoder(spec)
    decoder.load_state_dict(own, strict=True)
    return weights, decoder.eval().requires_grad_(False)


@pytest.mark.parametrize("name", LAYOUT)
def test_keys_in_any_order_tell_the_layout(name):
    keys = [*released(name)[0]]
    random.Random(0).shuffle(keys)
    assert recognise({key: released(name)[0][key] for key in keys}) == LAYOUT[name]


def test_the_original_teacher_is_the_published_spec():
    assert released("wan2.1_vae")[1].spec == wan_spec()


def test_a_quarter_of_every_width_is_light_vae():
    """LightVAE has the original names at a quarter of the widths."""
    narrow = {key: _quarter(key, value) for key, value in released("wan2.1_vae")[0].items()}
    spec, own = LAYOUTS.get(recognise(narrow)).read(narrow, {})
    assert spec == wan_spec(24)
    Decoder(spec).load_state_dict(own, strict=True)


def _quarter(key: str, value: Tensor) -> Tensor:
    """A tensor with every width but those of pixels and latents a quarter as large."""
    fixed = (1, 3, 16, 32)
    kernel = value.shape[2:] if value.ndim > 2 else ()
    sizes = [size if size in fixed else size // 4 for size in value.shape[:2]]
    return torch.zeros(*sizes, *kernel)


def test_the_released_wan_student():
    spec = released("flash_vaed_wan")[1].spec
    assert spec.stages["up1"] == StagePlan("depthwise3d", 384, 3, "spatiotemporal", 24)
    assert spec.stages["up2"] == StagePlan("conv2d", 24, 3, "spatial", 12, shortcut="always")
    assert spec.stages["up3"] == StagePlan("conv2d", 12, 3, shortcut="always")
    assert spec.latents == wan_spec().latents


def test_the_released_ltx_student():
    spec = released("flash_vaed_ltx")[1].spec
    assert spec.stages["up1"] == StagePlan("depthwise3d", 512, 3, "spatiotemporal", time="causal_replicate")
    assert spec.stages["up2"] == StagePlan("conv3d", 64, 3, "spatiotemporal", shortcut="always")
    assert spec.stages["up3"] == StagePlan("conv2d", 32, 4, "spatiotemporal", shortcut="always")
    assert (spec.patch, spec.time) == (4, "centred_replicate")
    assert (spec.spatial_scale, spec.temporal_scale) == (32, 8)


@pytest.mark.parametrize("name", ["flash_vaed_wan", "flash_vaed_ltx"])
def test_released_students_give_the_released_programs_frames(name):
    decoder = released(name)[1]
    z, expected = reference(name)
    if name == "flash_vaed_wan":  # the released program de-normalises
        z = decoder.latents.denormalize(z)
    assert expected.std() > 0.3
    torch.testing.assert_close(decoder(z)[..., ::4, ::4], expected, **EXACT)
    for chunk in (1, 3):
        torch.testing.assert_close(decoder.decode(z, chunk)[..., ::4, ::4], expected.clamp(-1, 1), **EXACT)


@pytest.mark.parametrize("name", ["flash_vaed_wan", "flash_vaed_ltx"])
def test_no_clip_is_too_long(name):
    """The released Wan program forgets its past after 21 latents; a stream here does not."""
    decoder = released(name)[1]
    z = random_latents(24, 1, 1, channels=decoder.latents.channels)
    torch.testing.assert_close(decoder.decode(z, chunk=5), decoder.decode(z), **EXACT)


def test_the_separable_shortcut_is_folded_exactly():
    """Factor and offset per channel, then a 1x1x1: one 1x1x1. 384 numbers fewer than in the file."""
    weights, decoder = released("flash_vaed_wan")
    path = "decoder.upsamples.4.shortcut."
    x = torch.randn(1, 192, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    factor, offset = weights[f"{path}depthwise_conv.weight"].view(1, -1, 1, 1, 1), weights[f"{path}depthwise_conv.bias"]
    scaled = x * factor + offset.view(1, -1, 1, 1, 1)
    mix, bias = weights[f"{path}pointwise_conv.weight"].flatten(1), weights[f"{path}pointwise_conv.bias"]
    expected = torch.einsum("oc,nc...->no...", mix, scaled) + bias.view(1, -1, 1, 1, 1)
    shortcut = decoder.stages["up1"].blocks[0].shortcut
    torch.testing.assert_close(shortcut(x), expected, atol=1e-4, rtol=1e-4)


def test_wan_2_2_in_its_own_layout():
    """A Sequential per stage, and statistics of the published 48-channel space."""
    spec = wan_spec(8, blocks_per_stage=2, latents=WAN22_LATENTS, residual=True, patch=2)
    decoder = scramble(Decoder(spec))
    theirs = {_wan22_name(key): _foreign(key, value) for key, value in decoder.state_dict().items()}
    assert recognise(theirs) == "wan_original"
    found, own = LAYOUTS.get("wan_original").read(theirs, {})
    assert found == spec
    again = Decoder(found)
    again.load_state_dict(own, strict=True)
    z = random_latents(3, channels=48)
    assert torch.equal(again.decode(z), decoder.decode(z))


def _foreign(key: str, value: Tensor) -> Tensor:
    return value.view(-1, 1, 1, 1) if key.endswith("gamma") else value


def _wan22_name(key: str) -> str:
    """The inverse of the layout's renaming, for two blocks a stage."""
    for ours, theirs in [
        ("norm1.", "residual.0."), ("conv1.", "residual.2."), ("norm2.", "residual.3."), ("conv2.", "residual.6."),
    ]:  # fmt: skip
        key = key.replace(ours, theirs) if ".blocks." in key else key
    for ours, theirs in [
        ("entry.latent_mix.", "conv2."), ("entry.conv.", "decoder.conv1."), ("head.norm.", "decoder.head.0."),
        ("head.conv.", "decoder.head.2."), ("stages.mid.attention.", "decoder.middle.1."),
        ("stages.mid.blocks.0.", "decoder.middle.0."), ("stages.mid.blocks.1.", "decoder.middle.2."),
        ("upsampler.time_conv.", "upsamples.2.time_conv."), ("upsampler.conv.", "upsamples.2.resample.1."),
        ("stages.up", "decoder.upsamples."), (".blocks.", ".upsamples."),
    ]:  # fmt: skip
        key = key.replace(ours, theirs)
    return key


@pytest.mark.parametrize("name", LAYOUT)
def test_what_is_missing_or_left_over_is_listed(name, tmp_path):
    weights = dict(released(name)[0])
    gone = next(key for key in weights if key.startswith("decoder.") and key.endswith("conv1.bias"))
    del weights[gone]
    weights["decoder.surprise.weight"] = torch.zeros(1)
    torch.save({key: value for key, value in weights.items() if not key.startswith("encoder.")}, tmp_path / "any.bin")
    with pytest.raises(CheckpointError, match=r"left over decoder.surprise.weight") as error:
        load_decoder(tmp_path / "any.bin")
    error.match("missing ")


@pytest.mark.parametrize("save", ["pth", "safetensors", "state_dict"])
def test_files_load_by_content_whatever_their_name(save, tmp_path):
    from safetensors.torch import save_file

    weights, decoder = released("flash_vaed_wan")
    file = tmp_path / "model.ckpt"
    if save == "safetensors":
        save_file(weights, file)
    else:
        torch.save({"state_dict": weights, "epoch": 21} if save == "state_dict" else weights, file)
    loaded = load_decoder(file)
    assert loaded.spec == decoder.spec
    assert all(torch.equal(value, decoder.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_a_decoder_without_an_encoder_is_no_teacher(tmp_path):
    weights = {key: v for key, v in released("flash_vaed_wan")[0].items() if not key.startswith("encoder.")}
    torch.save(weights, tmp_path / "student.pth")
    with pytest.raises(CheckpointError, match="holds a decoder without an encoder"):
        load_teacher(tmp_path / "student.pth")


def test_keys_of_nothing_known_are_refused(tmp_path):
    torch.save({"unet.weight": torch.zeros(3)}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"its 1 keys \(unet.weight ...\) are of no layout known here: ") as error:
        load_decoder(tmp_path / "model.pth")
    assert "\n" not in str(error.value)


# --- what the LTX layout refuses


def ltx_weights() -> dict[str, Tensor]:
    """A small LTX decoder under diffusers' names."""
    diffusers = pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    sizes = {"block_out_channels": (4, 4, 4, 4), "layers_per_block": (1, 1, 1, 1, 1)}
    vae = diffusers.AutoencoderKLLTXVideo(**sizes, **{f"decoder_{name}": value for name, value in sizes.items()})
    return {key: value for key, value in vae.state_dict().items() if not key.startswith("encoder.")}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("decoder.scale_shift_table", "conditioned on a timestep"),
        ("decoder.time_embedder.linear.weight", "conditioned on a timestep"),
        ("decoder.mid_block.resnets.0.per_channel_scale1", "fed with noise"),
    ],
)
def test_conditioned_ltx_decoders_are_refused(key, message):
    with pytest.raises(ValueError, match=message):
        LAYOUTS.get("ltx_diffusers").read({**ltx_weights(), key: torch.zeros(1)}, {})


@pytest.mark.parametrize("config", [{"upsample_residual": [False, True]}, {"patch_size_t": 2}])
def test_ltx_configs_of_later_versions_are_refused(config):
    with pytest.raises(ValueError, match=f"this LTX decoder has {next(iter(config))}"):
        LAYOUTS.get("ltx_diffusers").read(ltx_weights(), config)


def test_ltx_statistics_must_be_there():
    weights = {key: value for key, value in ltx_weights().items() if key != "latents_std"}
    with pytest.raises(ValueError, match="latents_mean and latents_std are missing"):
        LAYOUTS.get("ltx_diffusers").read(weights, {})


def test_the_ltx_spec_of_the_defaults_is_the_released_one():
    """Widths, blocks and scale factors of LTX-Video 0.9.0."""
    spec = ltx_spec()
    assert [(stage.channels, stage.num_blocks) for stage in spec.stages.values()] == [
        (512, 4), (512, 3), (512, 3), (256, 3), (128, 4),
    ]  # fmt: skip
    assert (spec.spatial_scale, spec.temporal_scale) == (32, 8)
