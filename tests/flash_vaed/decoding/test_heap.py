"""Freed memory stays with a process that asks for it, until something wants it given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import sys, torch
from flash_vaed.decoding.heap import freed_at_once, keep_freed_memory

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))

def left_by(megabytes, times=1):
    before = resident()
    for _ in range(times):
        torch.ones(megabytes * 2**18)  # freed at once
    return resident() - before

torch.ones(2**18).sum()
if "keep" in sys.argv:
    assert keep_freed_memory()
once, more = left_by(256), left_by(256, times=8)
with freed_at_once(torch.device("cpu")):
    pass
print(once, more, left_by(640))  # more than was kept
"""


def measured(*args: str) -> list[int]:
    """MB that stay with a process: of one block of 256 MB, of eight more, of one of 640 MB behind a thrifty decode."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *args], capture_output=True, text=True, check=True)
    return [int(megabytes) for megabytes in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap is on Linux")
def test_kept_memory_is_used_again_until_a_thrifty_decode():
    once, more, thrifty = measured("keep")
    assert once > 200
    assert more < 300, "eight blocks lie where the first one was, or one beside it"
    assert thrifty < 50


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap is on Linux")
def test_by_itself_glibc_gives_large_blocks_back():
    assert max(measured()) < 50
