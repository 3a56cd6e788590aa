"""The built-in specs are what the released files are read as, and as large as published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from flash_vaed import Decoder, DecoderSpec
from flash_vaed.families.zoo import SPECS
from flash_vaed.layouts import LAYOUTS, recognise

SHARED = Path(__file__).parents[4] / "shared" / "parity"

LATENT_MIX = 16 * 16 + 16  # Wan counts its 1x1x1 convolution on the latent outside the decoder
FACTOR = 2 * 192  # factors and offsets in front of the student's shortcut in up1, which are folded into it

PARAMETERS = {  # as published; Wan 2.2's as diffusers builds it
    "wan2.1": 73_295_331 + LATENT_MIX,
    "flash-vaed-wan2.1": 5_859_723 + LATENT_MIX - FACTOR,
    "lightvae-wan2.1": 4_617_339 + LATENT_MIX,
    "wan2.2": 555_051_580,
    "taew2.1": 9_844_611,
    "ltx-video": 238_789_296,
    "flash-vaed-ltx": 66_955_024,
    "turbo-vaed-ltx": 41_939_440,
}


def parameters(spec: DecoderSpec) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Decoder(spec).parameters())


def read(shapes: Mapping[str, list[int]]) -> tuple[DecoderSpec, dict[str, tuple[int, ...]]]:
    """What a file of these keys and shapes is read as; statistics of latents are zero and one."""
    weights = {key: torch.full((), float(key == "latents_std")).expand(shape) for key, shape in shapes.items()}
    spec, own = LAYOUTS.get(recognise(weights)).read(weights, {})
    return spec, {key: tuple(value.shape) for key, value in own.items()}


def expected(spec: DecoderSpec) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in Decoder(spec).state_dict().items()}


@pytest.mark.parametrize("name", SPECS)
def test_each_is_as_large_as_published(name):
    assert parameters(SPECS[name]) == PARAMETERS[name]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no key lists in {SHARED.parent.name}/{SHARED.name}")
@pytest.mark.parametrize(
    ("name", "keys", "quarter"),
    [
        ("wan2.1", "wan2.1_vae", False),
        ("lightvae-wan2.1", "wan2.1_vae", True),
        ("flash-vaed-wan2.1", "flash_vaed_wan", False),
        ("flash-vaed-ltx", "flash_vaed_ltx", False),
        ("taew2.1", "taew2_1", False),
    ],
)
def test_each_is_what_its_file_is_read_as(name, keys, quarter):
    shapes = json.loads((SHARED / f"{keys}.keys.json").read_text())
    if quarter:  # widths are multiples of 96, the other sizes are not
        shapes = {k: [side // 4 if side % 96 == 0 else side for side in shape] for k, shape in shapes.items()}
    spec, weights = read(shapes)
    assert spec == SPECS[name]
    assert weights == expected(spec)


def test_wan22_and_the_teachers_are_those_of_diffusers():
    diffusers = pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    wan22 = {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "in_channels": 12, "out_channels": 12, "patch_size": 2,
        "is_residual": True, "temperal_downsample": [False, True, True],
    }  # fmt: skip
    with torch.device("meta"):
        vaes = {
            "wan2.1": diffusers.AutoencoderKLWan(),
            "wan2.2": diffusers.AutoencoderKLWan(**wan22),
            "ltx-video": diffusers.AutoencoderKLLTXVideo(),
        }
    for name, vae in vaes.items():
        shapes = {key: list(value.shape) for key, value in vae.state_dict().items()}
        spec, weights = read(shapes)
        assert spec == SPECS[name], name
        assert weights == expected(spec), name


def test_the_shallow_decoder_is_separable_where_turbo_vaed_is():
    stages = SPECS["turbo-vaed-ltx"].stages
    assert {name: plan.operator for name, plan in stages.items()} == {
        "mid": "depthwise3d_5", "up0": "depthwise3d_5", "up1": "conv3d", "up2": "conv3d", "up3": "conv3d"
    }  # fmt: skip
    assert [(plan.channels, plan.num_blocks) for plan in stages.values()] == [
        (512, 1), (512, 1), (256, 3), (128, 2), (64, 3)
    ]  # fmt: skip
    assert {plan.time or SPECS["turbo-vaed-ltx"].time for plan in stages.values()} == {"centred_replicate"}
