"""Small videos written on the spot, and the optional folder of real faulty files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


def moving_ramp(frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """uint8 (T, H, W, 3): a diagonal ramp that moves; frame t has mean brightness 40 + 4 t in every channel."""
    rows, columns = np.mgrid[:height, :width]
    ramp = ((rows + columns) % 16) - 7.5
    return (
        np.stack([np.repeat((40 + 4 * t + ramp)[..., None], 3, axis=2) for t in range(frames)]).round().astype(np.uint8)
    )


def write_video_file(path: Path, frames_THWC: np.ndarray, pts: list[int] | None = None, **stream: object) -> Path:
    """Encode frames with libx264 at near-lossless quality; `stream` sets attributes of the stream or its codec."""
    options = {"crf": "4", **stream.pop("options", {})}  # type: ignore[dict-item]
    with av.open(str(path), "w") as container:
        video = container.add_stream(stream.pop("codec", "libx264"), rate=25, options=options)  # type: ignore[call-overload]
        video.height, video.width = frames_THWC.shape[1:3]
        video.pix_fmt = stream.pop("pix_fmt", "yuv420p")
        for name, value in stream.items():
            setattr(video.codec_context, name, value)
        for index, pixels_HWC in enumerate(frames_THWC):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HWC), format="rgb24")
            frame.pts = pts[index] if pts else index
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return path


@pytest.fixture
def write_frames(tmp_path: Path) -> Callable[..., Path]:
    """write_frames(name, frames_THWC, **stream) -> path, under the test's own folder."""

    def write(name: str, frames_THWC: np.ndarray, **stream: object) -> Path:
        return write_video_file(tmp_path / name, frames_THWC, **stream)

    return write


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """write_video(name, frames=24, height=48, width=64, **stream) -> path, under the test's own folder."""

    def write(name: str, frames: int = 24, height: int = 48, width: int = 64, **stream: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_video_file(path, moving_ramp(frames, height, width), **stream)

    return write


@pytest.fixture
def real_files() -> Callable[[str], Path]:
    """real_files(name) -> a folder of real files kept outside the project, or a skip that says which is absent."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("FLASH_VAED_TEST_FILES", REPOSITORY.parent / "shared")) / name
        if not folder.is_dir():
            pytest.skip(f"optional real files are absent: {folder} (set FLASH_VAED_TEST_FILES)")
        return folder

    return find
