"""The decoders that others have released, as specs: what a checkpoint of each would be read as.

Weights lie elsewhere; the specs are for costs, studies and tests. A student is its teacher with some stages replaced.
"""

from __future__ import annotations

from dataclasses import replace

from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.taehv import taehv_spec
from flash_vaed.families.wan import WAN22_LATENTS, wan_spec
from flash_vaed.spec import DecoderSpec, StagePlan


def flash_vaed_wan() -> DecoderSpec:
    """Aoko955/Flash-VAED, `Flash_VAED_Wan.pth`: separable up to up1, an eighth of the width and 2D from there on."""
    teacher = wan_spec()
    separable = {name: replace(teacher.stages[name], operator="depthwise3d") for name in ("mid", "up0", "up1")}
    separable["up1"] = replace(separable["up1"], out_channels=24)
    return teacher.with_stages(
        **separable,
        up2=StagePlan("conv2d", 24, 3, "spatial", 12, shortcut="always"),
        up3=StagePlan("conv2d", 12, 3, shortcut="always"),
    )


def flash_vaed_ltx() -> DecoderSpec:
    """Aoko955/Flash-VAED, `Flash_VAED_LTX.pth`: separable and looking back up to up1, a quarter of the width after it,
    2D in up3.
    """
    teacher = ltx_spec()
    separable = {
        name: replace(teacher.stages[name], operator="depthwise3d", time="causal_replicate")
        for name in ("mid", "up0", "up1")
    }
    return teacher.with_stages(
        **separable,
        up2=StagePlan("conv3d", 64, 3, "spatiotemporal", shortcut="always"),
        up3=StagePlan("conv2d", 32, 4, "spatiotemporal", shortcut="always"),
    )


def turbo_vaed_ltx() -> DecoderSpec:
    """hustvl/Turbo-VAED (arXiv 2508.09136) for LTX-Video: where its operators lie and how wide it is, no more.

    5x5x5 separable filters in mid and up0, narrow dense 3D behind them. Its upsamplers split time from space, and its
    last 4x is two convolutions; here both are LTX's own, so its checkpoints do not fit and parameters differ.
    """
    spec = ltx_spec(channels=(512, 256, 128, 64), blocks=(1, 1, 3, 2, 3))
    deep = {name: replace(spec.stages[name], operator="depthwise3d_5") for name in ("mid", "up0")}
    return spec.with_stages(**deep)


SPECS: dict[str, DecoderSpec] = {
    "wan2.1": wan_spec(),
    "wan2.2": wan_spec(256, latents=WAN22_LATENTS, residual=True, patch=2),
    "lightvae-wan2.1": wan_spec(24),
    "flash-vaed-wan2.1": flash_vaed_wan(),
    "taew2.1": taehv_spec(),
    "ltx-video": ltx_spec(),
    "flash-vaed-ltx": flash_vaed_ltx(),
    "turbo-vaed-ltx": turbo_vaed_ltx(),
}
