"""A place in which whole runs take seconds: a tiny teacher, tiny clips, and overrides that keep everything small."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import torch

from flash_vaed import Decoder, Teacher, save_teacher
from flash_vaed.families.wan import wan_spec
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.spec import LatentSpace

CHANNELS = 8


def make_place(folder: Path) -> Path:
    """Fill `folder` with a tiny teacher and, in clips/ for each split, two short videos and a broken one."""
    torch.manual_seed(0)
    encoder = PatchEncoder(CHANNELS)
    encoder.fit([torch.rand(2, 3, 9, 64, 64) * 2 - 1])
    spec = wan_spec(8, (1, 2, 2, 2), 1, latents=LatentSpace("tiny", (0.0,) * CHANNELS, (1.0,) * CHANNELS))
    save_teacher(Teacher("tiny", Decoder(spec).eval(), encoder), folder / "teacher")
    for name in ("train/a", "train/b", "heldout/c", "heldout/d"):
        _write_clip(folder / "clips" / f"{name}.mp4", phase=len(name) + ord(name[-1]))
    for name in ("train/broken", "heldout/e"):
        (folder / "clips" / f"{name}.mp4").write_bytes(b"not a video")
    return folder


def seconds_long(place: Path) -> list[str]:
    """The overrides that make a run take seconds."""
    return [
        f"teacher.path={place}/teacher", "data=folder", f"data.root={place}/clips", "data.protocol.frames=5",
        "data.protocol.size=64", "metrics.names=[psnr,ssim,lpips,flicker]", "timing=quick", "timing.width=32",
        "timing.height=32", "distill.steps=3", "distill.size=32", "distill.frames=[5]", "prune.calibration_size=32",
        "prune.calibration_clips=2", "device.threads=1",
    ]  # fmt: skip


def _write_clip(path: Path, phase: int, frames: int = 12, height: int = 72, width: int = 96) -> None:
    """Moving waves, written with MPEG-4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:height, :width]
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for t in range(frames):
            wave = 127 + 100 * np.sin(rows / 7 + columns / 5 + (t + phase) / 3)
            pixels = np.repeat(wave[..., None], 3, axis=2).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
