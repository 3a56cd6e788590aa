"""Freed memory stays with a process that asks for it, until something wants it given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import resource, sys, torch
from flash_vaed.decoding.heap import freed_at_once, keep_freed_memory

def faults(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(megabytes * 2**18)  # freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory() if "keep" in sys.argv else None
first = faults(256)
for _ in range(3):  # a block has to lie as aligned as the next one wants it
    faults(256)
again = faults(256)
with freed_at_once(torch.device("cpu")):
    faults(256)
faults(384)  # more than was kept
print(kept, again < first / 10, faults(384) > first / 2)
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
