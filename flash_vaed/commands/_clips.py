"""A video file as the tensor an encoder takes; what had to be cut off is said."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.commands._arguments import positive
from flash_vaed.spec import DecoderSpec
from flash_vaed.teacher import Teacher
from flash_vaed.video_files import read_video, to_float


def add_clip(parser: argparse.ArgumentParser) -> None:
    """`--frames` and `--size`."""
    parser.add_argument("--frames", type=positive, metavar="N", help="only the first N frames (default: all)")
    parser.add_argument(
        "--size", type=positive, nargs=2, metavar=("H", "W"), help="scale to cover H x W pixels and cut out the middle"
    )


def clip_of(
    path: str, spec: DecoderSpec, frames: int | None, size: Sequence[int] | None
) -> tuple[Tensor, Fraction | None]:
    """Video (1, 3, T, H, W) in [-1, 1] that the latent grid of `spec` can give, and its frames per second.

    frames: only the first ones. size: (H, W) to scale to (covering it) and cut out of the middle. Every trim is a line
    on stderr.
    """
    video = read_video(path, frames)
    x_NCTHW = to_float(video.frames_THWC.movedim(-1, 0))[None]
    if size is not None:
        height, width = size
        spec.latent_shape(1, height, width)  # refuses sides off the grid
        x_NCTHW = _cover(x_NCTHW, height, width)
    T, H, W = x_NCTHW.shape[2:]
    temporal, spatial = spec.temporal_scale, spec.spatial_scale
    kept = ((T - 1) // temporal * temporal + 1, H // spatial * spatial, W // spatial * spatial)
    if min(kept) < 1:
        raise ValueError(f"{path} is {H}x{W}, smaller than the {spatial}x{spatial} pixels of one latent")
    if kept[0] != T:
        note(f"{T} frames trimmed to the first {kept[0]}: the latent grid takes {temporal} k + 1")
    if kept[1:] != (H, W):
        note(f"{H}x{W} cut to {kept[1]}x{kept[2]} in the middle: sides are divisible by {spatial}")
    return _middle(x_NCTHW[:, :, : kept[0]], *kept[1:]), video.fps


@torch.no_grad()
def encoded(teacher: Teacher, x_NCTHW: Tensor, device: torch.device) -> Tensor:
    """Raw latents of a clip, made on `device`, float32 on the CPU."""
    if isinstance(teacher.encoder, nn.Module):
        teacher.encoder.to(device)
    return teacher.encode(x_NCTHW.to(device)).float().cpu()


def note(message: str) -> None:
    """A line that is no error."""
    print(f"note: {message}", file=sys.stderr)


def warn(doubtful: str | None) -> None:
    """What looks wrong about latents, if anything."""
    if doubtful is not None:
        print(f"warning: {doubtful}", file=sys.stderr)


def _cover(x_NCTHW: Tensor, height: int, width: int) -> Tensor:
    """Scaled, aspect kept, so that nothing of (height, width) stays empty; then cut out of the middle."""
    H, W = x_NCTHW.shape[3:]
    scale = max(height / H, width / W)
    if scale != 1:
        sides = (max(height, round(H * scale)), max(width, round(W * scale)))
        frames_TCHW = F.interpolate(x_NCTHW[0].transpose(0, 1), size=sides, mode="bilinear", antialias=True)
        x_NCTHW = frames_TCHW.transpose(0, 1)[None]
    return _middle(x_NCTHW, height, width)


def _middle(x_NCTHW: Tensor, height: int, width: int) -> Tensor:
    top, left = (x_NCTHW.shape[3] - height) // 2, (x_NCTHW.shape[4] - width) // 2
    return x_NCTHW[..., top : top + height, left : left + width].contiguous()
