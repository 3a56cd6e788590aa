"""A decode straight into a video file: what is decoded is written and forgotten, so length costs no memory."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from flash_vaed.decoding.stream import decode_stream
from flash_vaed.video_files import video_writer

if TYPE_CHECKING:
    from flash_vaed.decoder import Decoder


def decode_to_video(
    decoder: Decoder,
    z_NCthw: Tensor | Iterable[Tensor],
    path: str | Path,
    fps: float | Fraction,
    chunk: int = 1,
    tile: int | tuple[int, int] | None = None,
) -> int:
    """Decode one clip into a video file; the number of frames written.

    z_NCthw: latents (1, C, t, h, w), or pieces of them in their order (any iterable: memory does not grow with the
    length). fps: frames per second. The file appears under its name when it is complete; a failed decode leaves nothing
    behind. What cannot be written is a `ValueError` before anything is decoded.
    """
    if fps <= 0:
        raise ValueError(f"fps is a positive number of frames per second, not {fps}")
    pieces = iter([z_NCthw] if isinstance(z_NCthw, Tensor) else z_NCthw)
    first = next(pieces, None)
    if first is None:
        raise ValueError("a video needs at least one latent")
    decoder.check(first)
    if len(first) != 1:
        raise ValueError(f"a video file holds one clip, not a batch of {len(first)}; write z[i : i + 1]")
    height, width = (side * decoder.spec.spatial_scale for side in first.shape[3:])
    count = 0
    with video_writer(path, Fraction(fps), height, width) as video:
        for frames_NCTHW in decode_stream(decoder, chain([first], pieces), chunk, tile):
            video.write(frames_NCTHW[0])
            count += frames_NCTHW.shape[2]
            del frames_NCTHW  # not to be held during the next step
    return count
