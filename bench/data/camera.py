"""A still photograph seen by a moving camera: real texture, exactly smooth motion, no video file needed.

Photographs widen what a small training set shows. The camera pans, zooms or turns along slow sine paths whose phases
are derived from the clip's name, so a name always means the same frames.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MOTION_VERSION = "1"  # part of the clip's identity: change it when the frames change
FRAMES = 33
VIEW_HEIGHT, VIEW_WIDTH = 256, 320  # pixels
VIEW_SHARE = 0.75
SPEEDS = {  # mean speed per frame: pixels across, pixels of zoom at the border, pixels of turning at the border
    "pan": (3.0, 0.5, 0.5),
    "zoom": (1.0, 2.5, 0.5),
    "turn": (1.0, 0.5, 2.5),
}


def camera_clip(
    photo_HWC: np.ndarray, name: str, motion: str, start: int = 0, stop: int | None = None, stride: int = 1
) -> np.ndarray:
    """uint8 frames (T, 256, 320, 3) of `photo_HWC` (uint8 RGB) under the camera motion "pan", "zoom" or "turn".

    Frames `start, start + stride, ...` before `stop`, of a clip of 33. `name` seeds the path.
    """
    source_NCHW = _shrunk_to_view(torch.as_tensor(np.ascontiguousarray(photo_HWC)).permute(2, 0, 1).float()[None])
    poses = _path(name, motion)[start:stop:stride]
    frames = [_view(source_NCHW, pose) for pose in poses]
    return torch.stack(frames).numpy() if frames else np.empty((0, VIEW_HEIGHT, VIEW_WIDTH, 3), np.uint8)


def _source_pixels_per_view_pixel(height: int, width: int) -> float:
    """The scale at which the view spans three quarters of the photograph, which leaves room to move."""
    return VIEW_SHARE * min(height / VIEW_HEIGHT, width / VIEW_WIDTH)


def _shrunk_to_view(source_NCHW: Tensor) -> Tensor:
    """The photograph, shrunk where it is finer than the view: sampling it directly would alias."""
    height, width = source_NCHW.shape[2:]
    scale = _source_pixels_per_view_pixel(height, width)
    if scale <= 1:
        return source_NCHW
    shape = [round(height / scale), round(width / scale)]
    return F.interpolate(source_NCHW, size=shape, mode="bilinear", antialias=True, align_corners=False)


def _path(name: str, motion: str) -> Tensor:
    """Camera poses (FRAMES, 4): x and y in view pixels, log zoom, angle in radians."""
    seed = int.from_bytes(hashlib.sha256(f"{name} {MOTION_VERSION}".encode()).digest()[:8], "big")
    generator = torch.Generator().manual_seed(seed >> 1)
    border = math.hypot(VIEW_HEIGHT, VIEW_WIDTH) / 2
    across, zooming, turning = SPEEDS[motion]
    heading = torch.rand((), generator=generator).item() * 2 * math.pi
    speed_x, speed_y = across * math.cos(heading), across * math.sin(heading)
    speeds = (speed_x, speed_y, zooming / border, turning / border)
    return torch.stack([speed * _unit_speed_wave(generator) for speed in speeds], dim=1)


def _unit_speed_wave(generator: torch.Generator) -> Tensor:
    """A smooth curve (FRAMES,) around zero whose mean absolute step is one."""
    frame = torch.arange(FRAMES, dtype=torch.float64)
    draws = torch.rand(4, generator=generator, dtype=torch.float64)
    turns_per_clip = 0.5 + draws[0]
    wave = torch.sin(2 * math.pi * (turns_per_clip * frame / FRAMES + draws[1]))
    wave = wave + 0.15 * torch.sin(2 * math.pi * ((3 + 2 * draws[2]) * frame / FRAMES + draws[3]))
    wave = wave / wave.diff().abs().mean()
    return wave - (wave.max() + wave.min()) / 2


def _view(source_NCHW: Tensor, pose: Tensor) -> Tensor:
    """What the camera sees at one pose: uint8 (VIEW_HEIGHT, VIEW_WIDTH, 3). Outside the photograph it is mirrored."""
    x, y, log_zoom, angle = pose.tolist()
    height, width = source_NCHW.shape[2:]
    scale = _source_pixels_per_view_pixel(height, width) * math.exp(log_zoom)
    rows = torch.arange(VIEW_HEIGHT) - (VIEW_HEIGHT - 1) / 2
    columns = torch.arange(VIEW_WIDTH) - (VIEW_WIDTH - 1) / 2
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    source_x = cosine * column - sine * row + scale * x
    source_y = sine * column + cosine * row + scale * y
    grid = torch.stack([source_x / (width / 2), source_y / (height / 2)], dim=-1)[None]
    view = F.grid_sample(source_NCHW, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return view[0].clamp(0, 255).round().byte().permute(1, 2, 0)
