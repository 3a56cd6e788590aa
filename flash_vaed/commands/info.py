"""Say what a decoder is, what it costs and which latents it reads.

  python -m flash_vaed info PATH            a checkpoint of any known layout, or a folder
  python -m flash_vaed info bundled         this project's own small teacher
  python -m flash_vaed info wan2.1          a built-in spec; no file is needed
  python -m flash_vaed info PATH --json     one JSON document, for programs
Multiply-accumulates and the least bytes moved are per output frame, the state is what is remembered between chunks.
All are counted for one clip of --frames, --height, --width and 16-bit numbers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from flash_vaed.commands._arguments import parser_of, positive
from flash_vaed.commands._decoders import found, spec_named
from flash_vaed.cost import DecoderCost, PartCost, decoder_cost
from flash_vaed.families.zoo import SPECS
from flash_vaed.spec import DecoderSpec, LatentSpace


def main(argv: list[str]) -> int:
    parser = parser_of("info", __doc__)
    parser.add_argument("path", metavar="PATH", help=f"a checkpoint, bundled, or one of {', '.join(SPECS)}")
    parser.add_argument("--frames", type=positive, default=81, help="frames of the clip (default: 81)")
    parser.add_argument("--height", type=positive, default=480, help="pixels (default: 480)")
    parser.add_argument("--width", type=positive, default=832, help="pixels (default: 832)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    given = parser.parse_args(argv)
    spec, layout = spec_named(given.path), "built-in spec, no weights"
    if spec is None:
        layout, decoder = found(given.path)
        spec = decoder.spec
    clip = (given.frames, given.height, given.width)
    cost = decoder_cost(spec, *clip)
    if given.json:
        print(json.dumps(as_document(given.path, layout, spec, cost, clip)))
    else:
        print("\n".join(as_text(given.path, layout, spec, cost, clip)))
    return 0


def as_document(
    path: str, layout: str, spec: DecoderSpec, cost: DecoderCost, clip: tuple[int, int, int]
) -> dict[str, object]:
    """Everything `info` knows, JSON-ready."""
    return {
        "path": path,
        "layout": layout,
        "fingerprint": spec.fingerprint(),
        "spec": spec.to_json(),
        "temporal_scale": spec.temporal_scale,
        "spatial_scale": spec.spatial_scale,
        "clip": dict(zip(("frames", "height", "width"), clip, strict=True)),
        **dataclasses.asdict(cost),
    }


def as_text(path: str, layout: str, spec: DecoderSpec, cost: DecoderCost, clip: tuple[int, int, int]) -> list[str]:
    """The same for people."""
    frames, height, width = clip
    rows = [_HEADINGS]
    for name, part in cost.parts.items():
        stage = spec.stages.get(name)
        plan = (stage.operator, str(stage.channels), str(stage.num_blocks), stage.upsample) if stage else ("",) * 4
        rows.append((name, *plan, *_costs(part)))
    rows.append(("total", "", "", "", "", *_costs(cost)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{path}: {layout}",
        f"family   {spec.family}, {len(spec.stages)} stages, time {spec.time}, patch {spec.patch}",
        f"grid     a latent is {spec.spatial_scale}x{spec.spatial_scale} pixels and {spec.temporal_scale} frames",
        f"latents  {_space(spec.latents)}",
        f"cost     for {frames} frames of {height}x{width}",
        "",
        *(_line(row, widths) for row in rows),
    ]


_HEADINGS = (
    "part", "operator", "width", "blocks", "upsample", "parameters", "GMAC/frame", "least MB/frame", "state MiB",
)  # fmt: skip


def _costs(cost: PartCost | DecoderCost) -> tuple[str, str, str, str]:
    return (
        f"{cost.parameters:,}",
        f"{cost.macs_per_frame / 1e9:,.2f}",
        f"{cost.min_bytes_per_frame / 1e6:,.1f}",
        f"{cost.state_bytes / 2**20:,.1f}",
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    words = ("part", "operator", "upsample")
    cells = zip(_HEADINGS, row, widths, strict=True)
    return "  ".join(cell.ljust(width) if name in words else cell.rjust(width) for name, cell, width in cells).rstrip()


def _space(space: LatentSpace) -> str:
    return (
        f"{space.name}, {space.channels} channels, mean {min(space.mean):g} to {max(space.mean):g}, "
        f"std {min(space.std):g} to {max(space.std):g}"
    )
