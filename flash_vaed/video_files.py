"""Video files as tensors and back, through PyAV.

A file is read right or refused with a reason: no frame is repeated, guessed or left out. Frames are counted by
decoding, never from the header. What is written appears under its name only when it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flash_vaed.whole_file import whole_file

SUFFIXES = (".mp4", ".mkv", ".mov")
# libswscale: bilinear for chroma planes, exact rounding, bit-exact. Its fast path is 1 to 3 grey levels too dark.
_EXACT = 0x2 | 0x2000 | 0x40000 | 0x80000
_BT709 = (1, 1, 1, 1)  # matrix, primaries, transfer; 16 to 235
MAX_PIXELS = 36_000_000  # of one frame: 8K is 33 million; a header may claim anything, and memory is taken for it
MAX_BYTES = 16_000_000_000  # of all frames: a small file can hold any number
_LOCAL_FILES_ONLY = {"protocol_whitelist": "file"}  # a playlist renamed to .mp4 must not open the network


@dataclass(frozen=True)
class Video:
    """frames_THWC: uint8 RGB. fps: frames per second as the file gives them, None where it does not say."""

    frames_THWC: Tensor
    fps: Fraction | None


def read_video(path: str | Path, frames: int | None = None) -> Video:
    """All frames of a video file, or the first `frames`, held in memory.

    A file that is missing, damaged before the last wanted frame, without video, rotated, or shorter than `frames` is a
    `ValueError` of one sentence.
    """
    kept: list[np.ndarray] = []
    with _opened(Path(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        for frame in _decoded(container, path):
            pixels_HWC = _rgb(frame, path)
            if kept and pixels_HWC.shape != kept[0].shape:
                raise ValueError(f"{path} changes its frame size at frame {len(kept)}")
            kept.append(pixels_HWC)
            if len(kept) * pixels_HWC.nbytes > MAX_BYTES:
                raise ValueError(f"{path} has more than {MAX_BYTES} bytes of frames; read its first ones only")
            if len(kept) == frames:
                break
    if not kept:
        raise ValueError(f"{path} holds no frames")
    if frames is not None and len(kept) < frames:
        raise ValueError(f"{path} has only {len(kept)} frames, not {frames}")
    return Video(torch.from_numpy(np.stack(kept)), Fraction(rate) if rate else None)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    av = _pyav()
    if not path.is_file():
        raise ValueError(f"no video file {path}")
    try:
        # `file:` keeps a name with a colon or a leading dash from being read as a protocol or an option; metadata that
        # is not UTF-8 is not needed.
        container = av.open(f"file:{path.absolute()}", metadata_errors="ignore", options=_LOCAL_FILES_ONLY)
    except av.FFmpegError as error:
        raise ValueError(f"{path} cannot be read as video ({_described(error)})") from error
    with container:
        if not container.streams.video:
            raise ValueError(f"{path} has no video stream")
        context = container.streams.video[0].codec_context
        if context is None:
            raise ValueError(f"{path} is encoded in a way that nothing here decodes")
        if context.width * context.height > MAX_PIXELS:
            size = f"{context.width}x{context.height}"
            raise ValueError(f"{path} has frames of {size}, more than the {MAX_PIXELS} pixels that are read")
        context.options = {"max_pixels": str(MAX_PIXELS)}  # the size can change later
        yield container


def _decoded(container: Any, path: str | Path) -> Iterator[Any]:
    """Frames in order of presentation; damage is a `ValueError` with the count so far."""
    index = 0
    try:
        for frame in container.decode(video=0):
            if frame.is_corrupt:
                raise ValueError(f"{path} is damaged: frame {index} is corrupt")
            yield frame
            index += 1
    except _pyav().FFmpegError as error:
        raise ValueError(f"{path} fails to decode after {index} good frames ({_described(error)})") from error


def _rgb(frame: Any, path: str | Path) -> np.ndarray:
    if round(frame.rotation):
        raise ValueError(
            f"{path} asks to be shown rotated by {frame.rotation:g} degrees; turn its pixels first: "
            "ffmpeg -i IN OUT.mp4 does so"
        )
    return frame.reformat(format="rgb24", interpolation=_EXACT).to_ndarray()


@contextmanager
def video_writer(path: str | Path, fps: Fraction, height: int, width: int) -> Iterator[VideoWriter]:
    """A writer of H.264 (MPEG-4 where PyAV has no H.264 encoder). `path` appears when the block ends without error."""
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise ValueError(f"video is written as {', '.join(SUFFIXES)}, not {file.name!r}")
    if height % 2 or width % 2:
        raise ValueError(f"video files need even sides, not {height}x{width}; write the frames as .npy")
    with whole_file(file) as partial, _pyav().open(f"file:{partial.absolute()}", "w") as container:
        writer = VideoWriter(container, fps, height, width)
        yield writer
        writer.finish()


class VideoWriter:
    """Encodes frames as they come; made by `video_writer`."""

    def __init__(self, container: Any, fps: Fraction, height: int, width: int) -> None:
        h264 = "libx264" in _pyav().codecs_available
        stream = container.add_stream("libx264" if h264 else "mpeg4", rate=fps.limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context  # say which colours these are, or players guess by the size
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = _BT709
        if h264:
            stream.options = {"crf": "16"}  # the file's own loss stays small beside the decoder's
        else:
            stream.bit_rate = int(height * width * fps * 0.4)
        self._container, self._stream = container, stream

    def write(self, x_CTHW: Tensor) -> None:
        """Append frames (3, T, H, W) in [-1, 1]."""
        for pixels_HWC in to_uint8(x_CTHW).movedim(0, -1).cpu().numpy():
            frame = _pyav().VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HWC), format="rgb24")
            yuv = frame.reformat(format="yuv420p", dst_colorspace="ITU709", interpolation=_EXACT)
            self._container.mux(self._stream.encode(yuv))

    def finish(self) -> None:
        """Flush the encoder."""
        self._container.mux(self._stream.encode())


def to_float(frames_uint8: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1], same shape."""
    return frames_uint8.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] -> uint8, rounded, same shape."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise ValueError(f"video files need PyAV: pip install av ({error})") from error
    return av


def _described(error: BaseException) -> str:
    """Kind and message on one line, without the path that FFmpeg errors quote."""
    text = getattr(error, "strerror", None) or str(error) or "no message"
    return f"{type(error).__name__}: {' '.join(text.split())}"
