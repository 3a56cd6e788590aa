"""How a clip becomes a tensor: which frames, what size. Part of what makes two numbers comparable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class ClipProtocol:
    """`frames` frames from `start` on, `stride` apart; short side resized to `size` pixels, centre crop of that size.

    `frames` is 4n + 1 and `size` a multiple of 8, as video VAEs of the Wan kind need. Smaller clips are enlarged;
    numbers at a size above the source's measure interpolated pixels. Raises `ValueError` on anything else.
    """

    frames: int = 17
    size: int = 144
    stride: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        if self.frames < 1 or self.frames % 4 != 1:
            raise ValueError(f"protocol frames must be 4n + 1 (1, 5, 9, 13, 17 ...), got {self.frames}")
        if self.size < 8 or self.size % 8:
            raise ValueError(f"protocol size must be a multiple of 8, got {self.size}")
        if self.stride < 1:
            raise ValueError(f"protocol stride must be at least 1, got {self.stride}")
        if self.start < 0:
            raise ValueError(f"protocol start must be at least 0, got {self.start}")

    @property
    def stop(self) -> int:
        """One past the last frame a clip must have."""
        return self.start + self.stride * (self.frames - 1) + 1

    def fit(self, frames_THWC: np.ndarray | Tensor) -> Tensor:
        """uint8 frames (T, H, W, 3) as float32 `x_CTHW` in [-1, 1], resized (bilinear, antialias) and cropped."""
        x_TCHW = torch.as_tensor(frames_THWC).permute(0, 3, 1, 2).float()
        x_TCHW = resize_short_side(x_TCHW, self.size)
        top, left = (x_TCHW.shape[2] - self.size) // 2, (x_TCHW.shape[3] - self.size) // 2
        x_TCHW = x_TCHW[:, :, top : top + self.size, left : left + self.size]
        return to_unit_range(x_TCHW).permute(1, 0, 2, 3).contiguous()


def resize_short_side(x_TCHW: Tensor, size: int) -> Tensor:
    """Frames resized so that the short side is exactly `size`, aspect kept to the nearest pixel."""
    height, width = x_TCHW.shape[2:]
    if min(height, width) == size:
        return x_TCHW
    scale = size / min(height, width)
    shape = [max(size, round(height * scale)), max(size, round(width * scale))]
    return F.interpolate(x_TCHW, size=shape, mode="bilinear", antialias=True, align_corners=False)


def to_unit_range(x: Tensor) -> Tensor:
    """Pixel values 0..255 (float) to [-1, 1]; resizing may overshoot by a rounding error, hence the clamp."""
    return (x / 127.5 - 1.0).clamp(-1.0, 1.0)
