"""Tiles without seams: each is decoded with all it can see around it, and only its inner part is kept.

Whole frames first, as long as the pixels are few: through the last part that sees its whole frame (attention), and on
while they are the latents' own. The rest runs tile by tile. A tile's crop is its inner rectangle and the halo that the
parts say they see (`sight`), cut off at the frame's border, so that zeros are padded only where they are padded in a
whole frame. Nothing is blended.

The state stays that of whole frames: a tile reads its crop of it and writes its inner part. So every step of a stream
may be tiled otherwise.

Legend: N batch, C channels, t h w latent sizes, T frames, H W pixels of the part at hand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from flash_vaed.operators import Hop
from flash_vaed.state import DecoderState, Stream

if TYPE_CHECKING:
    from flash_vaed.decoder import Decoder


@dataclass(frozen=True)
class Span:
    """One axis of a tile, in pixels of the tiled parts' input: what is kept, [start, stop), and what is read."""

    start: int
    stop: int
    read_start: int
    read_stop: int

    def outer(self, scale: int) -> slice:
        """What is read, where a pixel has become `scale` pixels."""
        return slice(self.read_start * scale, self.read_stop * scale)

    def inner(self, scale: int) -> slice:
        """What is kept, within the frame."""
        return slice(self.start * scale, self.stop * scale)

    def kept(self, scale: int) -> slice:
        """What is kept, within what was read."""
        return slice((self.start - self.read_start) * scale, (self.stop - self.read_start) * scale)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a frame."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Pixels that are read."""
        rows, columns = self.rows, self.columns
        return (rows.read_stop - rows.read_start) * (columns.read_stop - columns.read_start)


@dataclass(frozen=True)
class Cut:
    """Where a decoder is cut: the names of parts that run on whole frames, of parts that run in tiles, and the halo of
    the latter in pixels of their input. `scale`: such pixels per latent pixel.
    """

    whole: tuple[str, ...]
    tiled: tuple[str, ...]
    halo: int
    scale: int


def cut_of(decoder: Decoder) -> Cut:
    """The cut of this decoder; a `ValueError` where a part does not say what it sees, or the last one sees it all."""
    sights = {name: _sight(decoder, name, part) for name, part in decoder.parts().items()}
    names = list(sights)
    last_global = max((i for i, name in enumerate(names) if sights[name] is None), default=-1)
    cut = last_global + 1
    while cut < len(names) - 1 and _enlargement(decoder, names[: cut + 1], sights) == 1:
        cut += 1
    if cut == len(names):
        raise ValueError(f"the head of a {decoder.spec.family} decoder sees whole frames: decode without tiles")
    hops = [hop for name in names[cut:] for hop in sights[name] or ()]
    before = _enlargement(decoder, names[:cut], sights)
    return Cut(tuple(names[:cut]), tuple(names[cut:]), halo_of(hops), before)


def halo_of(hops: Iterable[Hop]) -> int:
    """Pixels on each side of the input that decide over a pixel at the end of these hops.

    Walked from the end: seen there already, a pixel of the input less where it was enlarged, and the hop's own margin.
    """
    needed = 0
    for hop in reversed(list(hops)):
        needed = hop.margin + -(-needed // hop.scale)
    return needed


def scale_of(hops: Iterable[Hop]) -> int:
    """Pixels per axis that one pixel of the input becomes."""
    scale = 1
    for hop in hops:
        scale *= hop.scale
    return scale


def tiles_of(cut: Cut, h: int, w: int, tile: tuple[int, int]) -> list[Tile]:
    """Tiles of `tile` latent pixels (rows, columns) over latents of h x w; those at the far border may be smaller."""
    scale, halo = cut.scale, cut.halo
    rows, columns = (_spans(n * scale, side * scale, halo) for n, side in ((h, tile[0]), (w, tile[1])))
    return [Tile(*spans) for spans in product(rows, columns)]


@torch.no_grad()
def step_in_tiles(
    decoder: Decoder, z_NCthw: Tensor, state: DecoderState, cut: Cut, tiles: Iterable[Tile], last: bool = False
) -> tuple[Tensor, DecoderState]:
    """As `Decoder.step`: the same frames, the same state, up to rounding. `tiles` cover the frame."""
    decoder.check(z_NCthw)
    stream = Stream(state, last)
    x_NCTHW = _run(decoder.parts(), cut.whole, z_NCthw, stream)
    past = {slot: frames for slot, frames in state.memory.items() if _belongs(slot, cut.tiled)}
    behind = stream.after(state.latents_seen + z_NCthw.shape[2])
    clip: dict[str, Tensor] = {}
    future: dict[str, Tensor] = {}
    for tile in tiles:
        window = Stream(DecoderState(state.latents_seen, _cropped(past, tile, x_NCTHW.shape[3:])), last)
        _decode_tile(decoder, x_NCTHW, window, cut, tile, clip, future)
        del window  # what the tile remembers is written by now
    return clip["frames"], dataclasses.replace(behind, memory={**behind.memory, **future})


def _decode_tile(
    decoder: Decoder,
    x_NCTHW: Tensor,
    window: Stream,
    cut: Cut,
    tile: Tile,
    clip: dict[str, Tensor],
    future: dict[str, Tensor],
) -> None:
    """Write a tile's frames into `clip`, what it remembers into `future`; all else is freed on leaving."""
    size = x_NCTHW.shape[3:]
    crop_NCTHW = x_NCTHW[..., tile.rows.outer(1), tile.columns.outer(1)]
    frames_NCTHW = _run(decoder.parts(), cut.tiled, crop_NCTHW, window)
    _paste(clip, "frames", frames_NCTHW.clamp(-1, 1), tile, size)
    for slot, frames in window.future.items():
        _paste(future, slot, frames, tile, size)


def _sight(decoder: Decoder, name: str, part: nn.Module) -> tuple[Hop, ...] | None:
    if not hasattr(part, "sight"):
        raise ValueError(
            f"{name} of a {decoder.spec.family} decoder does not say how far it sees, so tiles would have seams: give "
            f"{type(part).__name__} a sight(), or decode without tiles"
        )
    return part.sight()  # type: ignore[operator]


def _enlargement(decoder: Decoder, names: list[str], sights: Mapping[str, tuple[Hop, ...] | None]) -> int:
    """Pixels per latent pixel behind the named parts; a part that sees everything says its scale by its plan."""
    scale = 1
    for name in names:
        hops = sights[name]
        scale *= scale_of(hops) if hops is not None else 1 + (decoder.spec.stages[name].upsample != "none")
    return scale


def _spans(size: int, side: int, halo: int) -> list[Span]:
    starts = range(0, size, side)
    ends = (min(start + side, size) for start in starts)
    return [Span(a, b, max(a - halo, 0), min(b + halo, size)) for a, b in zip(starts, ends, strict=True)]


def _run(parts: Mapping[str, nn.Module], names: Iterable[str], x_NCTHW: Tensor, stream: Stream) -> Tensor:
    for name in names:
        x_NCTHW = parts[name](x_NCTHW, stream)
    return x_NCTHW


def _belongs(slot: str, names: Iterable[str]) -> bool:
    """Whether a slot, a module's path, lies in one of the named parts."""
    return slot.removeprefix("stages.").split(".")[0] in names


def _cropped(memory: Mapping[str, Tensor], tile: Tile, size: torch.Size) -> dict[str, Tensor]:
    """What a tile sees of the remembered frames; a mark without pixels stays as it is."""
    crops = {}
    for slot, frames in memory.items():
        if frames.ndim == 5:
            scale = frames.shape[3] // size[0]
            frames = frames[..., tile.rows.outer(scale), tile.columns.outer(scale)]
        crops[slot] = frames
    return crops


def _paste(canvas: dict[str, Tensor], name: str, patch: Tensor, tile: Tile, size: torch.Size) -> None:
    """Write a tile's inner part into the whole frames that `canvas` holds under `name`."""
    if patch.ndim != 5:
        canvas[name] = patch
        return
    scale = patch.shape[3] // (tile.rows.read_stop - tile.rows.read_start)
    if name not in canvas:
        canvas[name] = patch.new_empty(*patch.shape[:3], size[0] * scale, size[1] * scale)
    inner = patch[..., tile.rows.kept(scale), tile.columns.kept(scale)]
    canvas[name][..., tile.rows.inner(scale), tile.columns.inner(scale)] = inner
