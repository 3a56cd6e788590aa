"""taew2_1.pth is read strictly and gives the released program's frames; 2x2 patches lie in our order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flash_vaed import CheckpointError, Decoder, load_decoder
from flash_vaed.families.taehv import taehv_spec
from flash_vaed.families.wan import WAN21_LATENTS, WAN22_LATENTS
from flash_vaed.layouts import LAYOUTS, recognise
from tests.flash_vaed.layouts.released import DATA, seeded

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "parity"

SAME = {"atol": 2e-4, "rtol": 0.0}


def released_shapes(latents: int = 16, pixels: int = 3, widths: tuple[int, ...] = (256, 128, 64, 64)):
    """Every key of the released decoder with its shape: one Sequential, of which the layers without weights count."""
    shapes = {"1.weight": (widths[0], latents, 3, 3), "1.bias": (widths[0],)}
    for stage, width in enumerate(widths[:-1]):
        first, frames = 3 + 6 * stage, (1, 2, 2)[stage]
        for block in range(first, first + 3):
            for layer, channels in (("0", 2 * width), ("2", width), ("4", width)):
                shapes[f"{block}.conv.{layer}.weight"] = (width, channels, 3, 3)
                shapes[f"{block}.conv.{layer}.bias"] = (width,)
        shapes[f"{first + 4}.conv.weight"] = (frames * width, width, 1, 1)
        shapes[f"{first + 5}.weight"] = (widths[stage + 1], width, 3, 3)
    shapes |= {"22.weight": (pixels, widths[-1], 3, 3), "22.bias": (pixels,)}
    return {f"decoder.{key}": shape for key, shape in shapes.items()}


def weights_by_name(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The numbers with which the reference was computed."""
    return {key: seeded(key, shape) for key, shape in shapes.items()}


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Decoder:
    file = tmp_path_factory.mktemp("taehv") / "tiny.pth"
    encoder = {"encoder.0.weight": torch.zeros(64, 3, 3, 3), "encoder.17.bias": torch.zeros(16)}
    torch.save({**encoder, **weights_by_name(released_shapes())}, file)
    return load_decoder(file)


def test_the_spec_is_read_off_the_file(released):
    assert released.spec == taehv_spec()
    assert sum(parameter.numel() for parameter in released.parameters()) == 9_844_611


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_the_released_programs_frames(released, chunk):
    """It takes normalised latents, gives [0, 1], and drops its first three frames."""
    with np.load(DATA / "taew2_1.npz") as stored:
        z_NCthw, x_01_NCTHW = torch.from_numpy(stored["z_NCthw"]), torch.from_numpy(stored["x_01_NCTHW"])
    assert z_NCthw.abs().amax() > 4, "latents that the bound does not reach prove less"
    frames = released.decode(WAN21_LATENTS.denormalize(z_NCthw), chunk)
    assert frames.shape == (1, 3, 9, 16, 24)
    torch.testing.assert_close(frames, 2 * x_01_NCTHW - 1, **SAME)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no reference data in {SHARED.parent.name}/{SHARED.name}")
def test_the_whole_reference_and_its_keys(released):
    shapes = json.loads((SHARED / "taew2_1.keys.json").read_text())
    decoder = {key: tuple(shape) for key, shape in shapes.items() if key.startswith("decoder.")}
    assert decoder == released_shapes()
    with np.load(SHARED / "taew2_1.npz") as stored:
        z_NCthw, x_01_NCTHW = (torch.from_numpy(stored[k]).transpose(1, 2) for k in ("z_NTCHW", "out_NTCHW01"))
    torch.testing.assert_close(released.decode(WAN21_LATENTS.denormalize(z_NCthw)), 2 * x_01_NCTHW - 1, **SAME)


def test_patches_of_two_by_two_pixels_count_columns_faster():
    """As F.pixel_shuffle does. With 48 latent channels the latents are Wan 2.2's."""
    weights = weights_by_name(released_shapes(48, 12, (8, 8, 4, 4)))
    spec, own = LAYOUTS.get(recognise(weights)).read(weights, {})
    assert (spec.latents, spec.patch, spec.spatial_scale) == (WAN22_LATENTS, 2, 16)
    decoder = Decoder(spec)
    decoder.load_state_dict(own, strict=True)
    z_NCthw = torch.randn(1, 48, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    below = decoder.features(z_NCthw)["up2"][:, :, -1]
    pixels = F.conv2d(F.relu(below), weights["decoder.22.weight"], weights["decoder.22.bias"], padding=1)
    torch.testing.assert_close(decoder(z_NCthw)[:, :, 0], 2 * F.pixel_shuffle(pixels, 2) - 1, atol=1e-5, rtol=0.0)


def test_statistics_beside_the_file_say_whose_latents_it_takes(tmp_path):
    torch.save(weights_by_name(released_shapes(widths=(8, 8, 4, 4))), tmp_path / "other.pth")
    statistics = {"latents_mean": [0.0] * 16, "latents_std": [2.0] * 16}
    (tmp_path / "config.json").write_text(json.dumps(statistics))
    assert load_decoder(tmp_path / "other.pth").latents.std == (2.0,) * 16


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"decoder.4.conv.2.bias": None}, "missing stages.up0.blocks.1.conv2.bias"),
        ({"decoder.4.conv.5.bias": torch.zeros(8)}, "left over stages.up0.blocks.1.conv.5.bias"),
        ({"decoder.22.weight": torch.zeros(3, 5, 3, 3)}, "head.conv.weight has shape"),
        ({"decoder.x.weight": torch.zeros(1)}, "left over decoder.x.weight"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, change, complaint):
    weights = {**weights_by_name(released_shapes(widths=(8, 8, 4, 4))), **change}
    torch.save({key: value for key, value in weights.items() if value is not None}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=complaint):
        load_decoder(tmp_path / "bad.pth")
