"""Where decoded frames go: a video file, or an array of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from flash_vaed import video_files
from flash_vaed.whole_file import whole_file

SUFFIXES = (*video_files.SUFFIXES, ".npy", ".pt")


def check_output(path: str, suffixes: tuple[str, ...] = SUFFIXES) -> Path:
    """The file to write; a suffix or folder that cannot be written to is a `ValueError` before any work is done."""
    file = Path(path)
    if file.suffix not in suffixes:
        raise ValueError(f"the output is one of {', '.join(suffixes)}, not {file.name!r}")
    if not file.parent.is_dir():
        raise ValueError(f"no folder {file.parent} to write {file.name} into")
    return file


@contextmanager
def frame_writer(file: Path, fps: Fraction, shape: Sequence[int]) -> Iterator[Callable[[Tensor], None]]:
    """A function that takes the next frames (N, 3, T, H, W) in [-1, 1]; `shape` is that of the whole clip.

    .npy and .pt hold float32 (N, 3, T, H, W); .pt is put together in memory, the others are written as they come.
    """
    if file.suffix in video_files.SUFFIXES:
        if shape[0] != 1:
            raise ValueError(f"these are {shape[0]} clips and a video is one; write .npy")
        with video_files.video_writer(file, fps, shape[3], shape[4]) as video:
            yield lambda x_NCTHW: video.write(x_NCTHW[0])
    elif file.suffix == ".npy":
        with whole_file(file) as partial, partial.open("wb") as handle:
            yield _filling(handle, shape)
    else:
        frames: list[Tensor] = []
        with whole_file(file) as partial:
            yield frames.append
            torch.save(torch.cat(frames, dim=2), partial)


def _filling(handle: BinaryIO, shape: Sequence[int]) -> Callable[[Tensor], None]:
    """Writes frames into their places of a .npy file; a memory map would crash on a full disk."""
    header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(handle, header)
    N, C, T, H, W = shape
    begin, done = handle.tell(), 0

    def write(x_NCTHW: Tensor) -> None:
        nonlocal done
        for n in range(N):
            for c in range(C):
                handle.seek(begin + 4 * H * W * ((n * C + c) * T + done))
                handle.write(x_NCTHW[n, c].contiguous().numpy().tobytes())
        done += x_NCTHW.shape[2]

    return write
