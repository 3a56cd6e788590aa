"""docs/families.md says of every built-in decoder what its spec and the cost model say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from flash_vaed import Decoder, StagePlan
from flash_vaed.cost import decoder_cost
from flash_vaed.families.zoo import SPECS
from flash_vaed.layouts import LAYOUTS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")

UPS = ("up0", "up1", "up2", "up3")
UPSAMPLES = {"none": "", "spatial": ", s2", "spatiotemporal": ", t2 s2"}


def cost_row(name: str) -> str:
    """The counted part of a decoder's row: latent space, scale factors, parameters, MACs, bytes, state."""
    spec = SPECS[name]
    size = (121, 512, 512) if spec.family == "ltx" else (81, 480, 832)
    cost = decoder_cost(spec, *size)
    numbers = (
        cost.parameters / 1e6, cost.macs_per_frame / 1e9, cost.min_bytes_per_frame / 1e6, cost.state_bytes / 2**20
    )  # fmt: skip
    scale = f"{spec.temporal_scale}x{spec.spatial_scale}x{spec.spatial_scale}"
    return " | ".join([f"| `{name}`", spec.latents.name, scale, *(f"{number:.4g}" for number in numbers)])


def stage_row(name: str) -> str:
    """Every stage of a decoder in a few words, mid to up3; a dash where it has none."""
    spec = SPECS[name]
    cells = [in_words(spec.stages[stage]) if stage in spec.stages else "-" for stage in ("mid", *UPS)]
    return " | ".join([f"| `{name}`", spec.family, *cells, f"{spec.patch} |"])


def in_words(plan: StagePlan) -> str:
    out = f" to {plan.width_out}" if plan.width_out != plan.channels else ""
    more = [word for word in ("attention", "skip") if getattr(plan, word)]
    more += [plan.time] if plan.time else []
    more += ["shortcuts"] if plan.shortcut == "always" else []
    return f"{plan.operator} {plan.num_blocks} x {plan.channels}{out}{UPSAMPLES[plan.upsample]}" + "".join(
        f", {word}" for word in more
    )


@pytest.mark.parametrize("name", SPECS)
def test_the_page_gives_what_is_counted(name):
    found = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}`")]
    assert len(found) == 2, f"{name} needs a row in both tables, not {len(found)}"
    assert found[0][: len(cost_row(name)) + 3] == cost_row(name) + " | "
    assert found[1] == stage_row(name)


def test_the_page_knows_no_other_decoder():
    tables = PAGE.split("## One more")[0]
    assert set(re.findall(r"^\| `([^`]+)`", tables, flags=re.MULTILINE)) == set(SPECS)


def test_ltx_video_gives_its_first_frames_with_latent_25():
    with torch.device("meta"):
        decoder, z_NCthw = Decoder(SPECS["ltx-video"]), torch.empty(1, 128, 25, 1, 1)
    frames = [decoder.step(z_NCthw[:, :, :t], decoder.init_state())[0].shape[2] for t in (24, 25)]
    assert frames[0] == 0 < frames[1]


def test_every_layout_is_on_the_page():
    for layout in LAYOUTS:
        assert f"`layouts/{layout}.py`" in PAGE
