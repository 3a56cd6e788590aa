"""Small specs of every kind that is exported."""

from __future__ import annotations

import dataclasses

from flash_vaed import DecoderSpec, LatentSpace
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.spec import FrozenMapping
from tests.flash_vaed.examples import FOUR_CHANNELS, tiny_spec

EIGHT_CHANNELS = LatentSpace("eight", mean=(0.1, -0.2) * 4, std=(1.5, 0.5) * 4)


def small_ltx(patch: int = 2) -> DecoderSpec:
    """LTX's architecture, eight latent channels; 4 * patch pixels and four frames a latent."""
    return ltx_spec((16, 8), blocks=(1, 1, 1), upsample=(True, True), patch=patch, latents=EIGHT_CHANNELS)


def student() -> DecoderSpec:
    """A Wan decoder with an operator of its own in every late stage."""
    spec = tiny_spec()
    operators = {"up1": "depthwise3d_5", "up2": "depthwise3d", "up3": "conv2d"}
    return spec.with_stages(
        **{name: dataclasses.replace(spec.stages[name], operator=o) for name, o in operators.items()}
    )


def other_student() -> DecoderSpec:
    """The operators that `student` has not."""
    spec = tiny_spec()
    operators = {"up1": "grouped3d", "up2": "conv2plus1d", "up3": "depthwise3d_x2"}
    return spec.with_stages(
        **{name: dataclasses.replace(spec.stages[name], operator=o) for name, o in operators.items()}
    )


def out_of_order() -> DecoderSpec:
    """Stages whose names sort into another order than they run in."""
    spec = tiny_spec()
    return dataclasses.replace(spec, stages=FrozenMapping({f"{9 - i}": p for i, p in enumerate(spec.stages.values())}))


SPECS = {
    "wan": tiny_spec(),
    "wan_residual_patched": wan_spec(8, blocks_per_stage=1, latents=FOUR_CHANNELS, residual=True, patch=2),
    "student": student(),
    "other_student": other_student(),
    "out_of_order": out_of_order(),
    "ltx": small_ltx(),
}
