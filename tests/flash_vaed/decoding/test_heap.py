"""Freed memory stays with a process that asks for it, until something wants it given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import resource, sys, torch
from flash_vaed.decoding.heap import freed_at_once, keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 * 2**20)  # 256 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory() if "keep" in sys.argv else None
first, second = faults(), faults()
with freed_at_once(torch.device("cpu")):
    faults()
print(kept, second < first / 10, faults() > first / 2)
"""


def measured(*args: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", MEASURE, *args], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap is on Linux")
def test_kept_memory_is_used_again_until_a_thrifty_decode():
    assert measured("keep") == ["True", "True", "True"]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap is on Linux")
def test_by_itself_glibc_gives_large_blocks_back():
    assert measured() == ["None", "False", "True"]
