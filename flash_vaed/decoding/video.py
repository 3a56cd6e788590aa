"""A decode straight into a video file: what is decoded is written and forgotten, so length costs no memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from flash_vaed.decoding.stream import decode_stream

if TYPE_CHECKING:
    from flash_vaed.decoder import Decoder

BT709 = 1  # the number of this colour matrix, its primaries and its transfer curve in video files


def decode_to_video(
    decoder: Decoder,
    z_NCthw: Tensor | Iterable[Tensor],
    path: str | Path,
    fps: float | Fraction,
    chunk: int = 1,
    tile: int | tuple[int, int] | None = None,
    crf: int = 18,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
) -> int:
    """Decode one clip into an mp4 file; the number of frames written.

    z_NCthw: latents (1, C, t, h, w), or pieces of them in their order (any iterable: memory does not grow with the
    length). fps: frames per second. crf: 0 (no loss) to 51. The file appears under its name when it is complete; a
    failed decode leaves nothing behind. yuv420p needs even sides; a `ValueError` says so before anything is decoded.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"a video is written as .mp4, not as {path.name}")
    if not path.parent.is_dir():
        raise ValueError(f"no folder {path.parent} to write {path.name} into")
    if fps <= 0 or not 0 <= crf <= 51:
        raise ValueError(f"fps is positive and crf within 0 to 51, not fps={fps}, crf={crf}")
    pieces = iter([z_NCthw] if isinstance(z_NCthw, Tensor) else z_NCthw)
    first = next(pieces, None)
    if first is None:
        raise ValueError("a video needs at least one latent")
    decoder.check(first)
    height, width = (side * decoder.spec.spatial_scale for side in first.shape[3:])
    if len(first) != 1:
        raise ValueError(f"a video file holds one clip, not a batch of {len(first)}; write z[i : i + 1]")
    if pixel_format == "yuv420p" and (height % 2 or width % 2):
        raise ValueError(f"yuv420p needs even sides, not {height}x{width}; give pixel_format='yuv444p'")
    frames = decode_stream(decoder, chain([first], pieces), chunk, tile)
    partial = path.with_name(f"{path.name}.partial")
    try:
        count = _write(partial, _pictures(frames), (height, width), fps, crf, codec, pixel_format)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _pictures(frames: Iterator[Tensor]) -> Iterator[np.ndarray]:
    """Frames (1, 3, T, H, W) in [-1, 1] -> pictures (H, W, 3) of 8 bits, one after another."""
    for frames_NCTHW in frames:
        bytes_NCTHW = (frames_NCTHW.float() + 1).mul_(127.5).round_().to(torch.uint8)
        del frames_NCTHW
        yield from bytes_NCTHW[0].permute(1, 2, 3, 0).contiguous().cpu().numpy()


def _write(
    path: Path,
    pictures: Iterator[np.ndarray],
    size: tuple[int, int],
    fps: float | Fraction,
    crf: int,
    codec: str,
    pixel_format: str,
) -> int:
    import av

    count = 0
    with av.open(str(path), "w", format="mp4") as container:
        stream = _open_stream(container, size, Fraction(fps).limit_denominator(100_000), crf, codec, pixel_format)
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixel_format, dst_colorspace=BT709)))
            count += 1
        container.mux(stream.encode(None))
    return count


def _open_stream(container: Any, size: tuple[int, int], rate: Fraction, crf: int, codec: str, pixel_format: str) -> Any:
    import av

    try:
        stream = container.add_stream(codec, rate=rate, options={"crf": str(crf)})
    except av.codec.codec.UnknownCodecError as error:
        raise ValueError(f"this PyAV has no encoder {codec!r}; libx264 is the usual one") from error
    stream.height, stream.width = size
    stream.pix_fmt = pixel_format
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    return stream
