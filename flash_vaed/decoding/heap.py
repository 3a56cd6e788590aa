"""glibc's heap, as far as it decides over a decode's peak memory and its time.

glibc maps a block of its own for whatever is larger than a threshold and gives it back when it is freed. The threshold
rises to 32 MB by itself; smaller blocks then come from a heap that is hard to fill again, and the peak is well above
what is in use, most with tiles of many sizes. A low threshold brings it down to that and costs time for fresh pages,
so it holds only where memory matters more.

The other way round, a process that keeps what it freed never waits for fresh pages. That is worth the more, the less a
decoder computes per byte, so it is worth more to a small student than to its teacher.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

HEAP_BLOCK_BYTES = 32 * 2**20  # where the threshold comes to rest: larger blocks are always given back
_LOW_BYTES = 128 * 2**10  # where it starts
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # names of glibc's settings
_NEVER = -1
_PAD_BYTES = 256 * 2**20  # taken from the system beyond what is asked for
_MOST_MAPPED = 65536  # glibc's own limit on the number of mapped blocks


def keep_freed_memory() -> bool:
    """From now on this process keeps freed memory for what it allocates next; False where there is no glibc to say so.

    For processes that decode again and again. The resident size stays at the largest peak; `freed_at_once` ends it.
    """
    mallopt = _mallopt()
    if mallopt is None:
        return False
    return all(
        mallopt(name, value) for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD_BYTES))
    )


@contextmanager
def freed_at_once(device: torch.device, wanted: bool = True) -> Iterator[None]:
    """Within it, freed memory of a CPU decode returns to the system. Nothing happens on a GPU or without glibc."""
    mallopt = _mallopt() if wanted and device.type == "cpu" else None
    if mallopt is None:
        yield
        return
    mallopt(_MMAP_MAX, _MOST_MAPPED)
    mallopt(_MMAP_THRESHOLD, _LOW_BYTES)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, HEAP_BLOCK_BYTES)
        mallopt(_TRIM_THRESHOLD, 2 * HEAP_BLOCK_BYTES)  # as glibc does when it moves the threshold itself


def _mallopt() -> Callable[[int, int], int] | None:
    return getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
