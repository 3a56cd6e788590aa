"""Pictures beside the numbers: lossless frames of judged clips, for eyes and error maps.

    <results>/frames/<run_id>/<clip>/<who>/00000.png ...     who: source, teacher, student

They are optional: nothing is computed from them. A clip's name is percent-encoded in its folder's name.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from bench.records.schema import check_run_id
from bench.records.write import write_bytes

WHO = ("source", "teacher", "student")
PNG = b"\x89PNG\r\n\x1a\n"


def frames_folder(results_dir: str | os.PathLike, run_id: str, clip: str) -> Path:
    """Where the pictures of one clip of one run lie; `ValueError` for a name that is no folder's."""
    name = quote(clip, safe=" +,=@()")
    if not name.strip(". ") or len(name) > 200:
        raise ValueError(f"clip {clip[:80]!r} cannot name a folder")
    return Path(results_dir) / "frames" / check_run_id(run_id) / name


def write_frames(results_dir: str | os.PathLike, run_id: str, clip: str, who: str, frames_THWC: np.ndarray) -> Path:
    """Store frames (T, H, W, 3) of 8-bit RGB as PNG files, each whole or not at all; returns their folder."""
    if who not in WHO:
        raise ValueError(f"who is {who!r}; use one of {', '.join(WHO)}")
    if frames_THWC.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3:
        raise ValueError(f"frames must be (T, H, W, 3) of uint8, not {frames_THWC.shape} of {frames_THWC.dtype}")
    folder = frames_folder(results_dir, run_id, clip) / who
    for index, frame in enumerate(frames_THWC):
        content = png_bytes(frame)
        write_bytes(folder / f"{index:05d}.png", content)
    return folder


def stored_clips(results_dir: str | os.PathLike, run_id: str) -> list[str]:
    """Clips of a run that have pictures, by name."""
    root = Path(results_dir) / "frames" / check_run_id(run_id)
    return sorted(unquote(path.name) for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def stored_frames(results_dir: str | os.PathLike, run_id: str, clip: str) -> dict[str, list[Path]]:
    """The frames of one clip in order, by who made them; who has none is left out."""
    folder = frames_folder(results_dir, run_id, clip)
    found = {who: sorted((folder / who).glob("[0-9]*.png")) for who in WHO}
    return {who: paths for who, paths in found.items() if paths}


def png_bytes(frame_HWC: np.ndarray) -> bytes:
    """One 8-bit RGB picture as PNG (W3C Portable Network Graphics, filter 0 on every line)."""
    height, width, _ = frame_HWC.shape
    lines = np.zeros((height, 1 + 3 * width), dtype=np.uint8)
    lines[:, 1:] = frame_HWC.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(lines.tobytes(), 6)
    return PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
