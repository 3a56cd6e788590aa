"""The process that touches video files: it decodes with PyAV and writes raw RGB frames to its standard output.

It is a program of its own, started by path, because a decoder may crash or hang on a damaged file; the parent
(`bench.data.decode`) then kills it and reports the clip. It imports only PyAV and numpy, so that it starts in a
fraction of a second.

Requests are JSON lines on standard input. Answers are messages: one kind byte, eight length bytes, the payload.
Kinds: `F` one frame (two uint32 height and width, then H*W*3 bytes), `T` still alive, `D` done (JSON), `E` refused
(JSON).
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

# libswscale flags. Its fast path is 1 to 3 grey levels too dark and differs between processors.
EXACT = 0x2000 | 0x40000 | 0x80000  # full chroma interpolation, accurate rounding, bit-exact
SAME_SIZE, SHRINK = EXACT | 0x2, EXACT | 0x20  # bilinear (for chroma planes), area

TICK_EVERY = 16  # frames between two signs of life while frames are decoded but not sent
MAX_PIXELS = 36_000_000  # of one frame: 8K is 33 million; a header may claim anything, and memory is taken for it
LOCAL_FILES_ONLY = {"protocol_whitelist": "file"}  # a playlist renamed to .mp4 must not open the network


class Refused(Exception):
    """One line saying why a clip cannot be used."""


def decode(request: dict[str, Any], out: BinaryIO) -> int:
    """Send the wanted frames of one file, decode on to check the rest, and return how many frames were decoded."""
    start, stop, stride = request["start"], request["stop"], request["stride"]
    decoded, shape = 0, None
    for index, frame in numbered_frames(request["path"]):
        wanted = index >= start and (stop is None or index < stop) and (index - start) % stride == 0
        if wanted:
            pixels_HWC = upright_rgb(frame, request["short_side"])
            if shape is not None and pixels_HWC.shape != shape:
                raise Refused(f"changes its frame size at frame {index}")
            shape = pixels_HWC.shape
            send(out, b"F", struct.pack("<II", shape[0], shape[1]), pixels_HWC.tobytes())
        elif index % TICK_EVERY == 0:
            send(out, b"T")
        decoded = index + 1
        if decoded >= request["check_to"]:
            break
    return decoded


def numbered_frames(path: str) -> Iterator[tuple[int, Any]]:
    """Decoded frames in order of presentation, counted from 0; damage is `Refused` with the count so far."""
    import av

    index = 0
    try:
        # A `file:` prefix keeps a name with a colon or a leading dash from being read as a protocol or an option.
        # Some real files carry metadata that is not UTF-8; it is not needed.
        with av.open("file:" + path, metadata_errors="ignore", options=LOCAL_FILES_ONLY) as container:
            if not container.streams.video:
                raise Refused("has no video stream")
            context = container.streams.video[0].codec_context
            if context is None:
                raise Refused("is encoded in a way that nothing here decodes")
            if context.width * context.height > MAX_PIXELS:
                raise Refused(f"has frames of {context.width}x{context.height}, more than {MAX_PIXELS} pixels")
            context.options = {"max_pixels": str(MAX_PIXELS)}  # the size can change later
            for frame in container.decode(video=0):
                if frame.is_corrupt:
                    raise Refused(f"is damaged: frame {index} is corrupt")
                yield index, frame
                index += 1
    except av.FFmpegError as error:
        where = f"fails to decode after {index} good frames" if index else "cannot be decoded"
        raise Refused(f"{where} ({described(error)})") from error


def upright_rgb(frame: Any, short_side: int | None) -> Any:
    """One decoded frame as upright uint8 RGB (H, W, 3), shrunk so that its short side is at most `short_side`."""
    import numpy

    width, height, kernel = frame.width, frame.height, SAME_SIZE
    if short_side is not None and min(width, height) > short_side:
        scale = short_side / min(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        kernel = SHRINK
    pixels_HWC = frame.reformat(width=width, height=height, format="rgb24", interpolation=kernel).to_ndarray()
    quarter_turns, rest = divmod(round(frame.rotation), 90)  # counter-clockwise degrees, from the display matrix
    if rest:
        raise Refused(f"asks to be shown rotated by {frame.rotation} degrees; only quarter turns are supported")
    return numpy.ascontiguousarray(numpy.rot90(pixels_HWC, quarter_turns))


def described(error: BaseException) -> str:
    """The kind and message of `error` on one line, without the path that FFmpeg errors quote."""
    text = getattr(error, "strerror", None) or str(error) or "no message"
    return f"{type(error).__name__}: {' '.join(text.split())}"


def send(out: BinaryIO, kind: bytes, *parts: bytes) -> None:
    """Write one message; frames are flushed by the pipe itself, everything else at once."""
    out.write(kind + struct.pack("<Q", sum(len(part) for part in parts)))
    for part in parts:
        out.write(part)
    if kind != b"F":
        out.flush()


def main() -> None:
    """Answer requests until standard input closes."""
    del sys.path[0]  # this file's own folder, whose names must not hide anyone's modules
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # whatever a library prints must not mix with the frames
    for line in sys.stdin.buffer:
        try:
            send(out, b"D", json.dumps({"decoded": decode(json.loads(line), out)}).encode())
        except Exception as error:  # whatever it is, the parent names the clip and goes on
            send(out, b"E", json.dumps({"reason": reason_for(error)}).encode())


def reason_for(error: Exception) -> str:
    """Why a clip is refused, as the end of a sentence that starts with its name."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, ImportError):
        return f"needs PyAV: pip install av ({error})"
    return f"cannot be decoded ({described(error)})"


if __name__ == "__main__":
    main()
