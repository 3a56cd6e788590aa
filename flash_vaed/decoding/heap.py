"""glibc's heap, as far as it decides over a decode's peak memory.

glibc maps a block of its own for whatever is larger than a threshold and gives it back when it is freed. The threshold
rises to 32 MB by itself; smaller blocks then come from a heap that is hard to fill again. Measured on one CPU thread,
the peak was 1.1 to 1.5 times what was in use, twice with tiles of many sizes. A low threshold brings it down to what
is in use and costs a tenth to a third more time for fresh pages, so it holds only where memory matters more.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

HEAP_BLOCK_BYTES = 32 * 2**20  # where the threshold comes to rest: larger blocks are always given back
_LOW_BYTES = 128 * 2**10  # where it starts
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's settings


@contextmanager
def freed_at_once(device: torch.device, wanted: bool = True) -> Iterator[None]:
    """Within it, freed memory of a CPU decode returns to the system. Nothing happens on a GPU or without glibc."""
    possible = wanted and device.type == "cpu" and sys.platform == "linux"
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if possible else None
    if mallopt is None:
        yield
        return
    mallopt(_MMAP_THRESHOLD, _LOW_BYTES)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, HEAP_BLOCK_BYTES)
        mallopt(_TRIM_THRESHOLD, 2 * HEAP_BLOCK_BYTES)  # as glibc does when it moves the threshold itself
