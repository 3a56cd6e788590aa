"""Peak memory of one call, measured in the process that makes it; and where the memory goes that it frees.

CUDA: the allocator's own peak. CPU on Linux: the kernel's high-water mark of resident memory, which can be reset;
freed heap pages are handed back first, so that a second arm cannot hide in what the first one left. Elsewhere:
resident memory sampled by a thread. The method is part of the metric's version, because numbers of different methods
do not compare.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import torch

from flash_vaed.decoding.heap import keep_freed_memory

SAMPLE_INTERVAL_S = 0.002

_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")


def settle_heap(keep: bool, kind: str) -> list[str]:
    """Let this process keep what it frees, if `keep` and a device of that kind ask for it; a line where it cannot."""
    if not keep or kind != "cpu" or keep_freed_memory():
        return []
    return ["runtime.keep_heap has no effect here: this system's allocator is not glibc's"]


def peak_increase_bytes(fn: Callable[[], object], device: torch.device) -> tuple[int, str]:
    """Bytes that `fn` needed at its peak above what was in use before, and the name of the method that measured it."""
    gc.collect()
    if device.type == "cuda":
        return _cuda_peak(fn, device), "cuda-allocated-1"
    _return_free_heap()
    if _reset_peak():
        before = _status_bytes("VmRSS")
        fn()
        return max(0, _status_bytes("VmHWM") - before), "rss-peak-1"
    return _sampled_peak(fn), "rss-sampled-1"


def reserved_bytes(device: torch.device) -> int | None:
    """Memory of a GPU that PyTorch keeps for live tensors and for recorded graphs, whose buffers no tensor stands for;
    None on a CPU.
    """
    if device.type != "cuda":
        return None
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


def _cuda_peak(fn: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    fn()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _return_free_heap() -> None:
    """glibc keeps freed memory resident; ask for it back where that call exists."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _reset_peak() -> bool:
    """Set the high-water mark back to the present; False where the kernel does not allow it."""
    try:
        _RESET_PEAK.write_text("5")
    except OSError:
        return False
    return True


def _status_bytes(name: str) -> int:
    """One memory line of /proc/self/status, in bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _sampled_peak(fn: Callable[[], object]) -> int:
    """Largest resident size seen by a thread while `fn` runs, above the size before."""
    before = _resident_bytes()
    peak, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_INTERVAL_S):
            peak[0] = max(peak[0], _resident_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        fn()
        peak[0] = max(peak[0], _resident_bytes())
    finally:
        done.set()
        watcher.join()
    return peak[0] - before


def _resident_bytes() -> int:
    """Resident size now; where only a lifetime peak is offered (macOS), that."""
    if _STATUS.exists():
        return _status_bytes("VmRSS")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
