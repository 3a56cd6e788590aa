"""The limit is what was asked for or a share of what is there, and a process holds what it has written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import memory_limit
from bench.memory_limit import MemoryWatch, OverLimit, allowed_bytes, held_bytes


def test_a_limit_is_in_decimal_gigabytes_and_must_be_one():
    assert allowed_bytes(1.5) == 1_500_000_000
    assert allowed_bytes(float("inf")) is None
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=r"limits.memory_gb is a positive number"):
            allowed_bytes(wrong)


def test_without_a_limit_it_is_a_share_of_the_machine_or_of_its_container(tmp_path, monkeypatch):
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    container = tmp_path / "memory.max"
    monkeypatch.setattr(memory_limit, "_CONTAINER", (container, tmp_path / "absent"))
    container.write_text("max\n")
    assert allowed_bytes(None) == int(0.9 * whole)
    container.write_text("1000000\n")
    assert allowed_bytes(None) == 900_000


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="memory of a process is read from /proc")
def test_held_is_what_was_written_and_looking_raises_above_the_limit():
    before = held_bytes(os.getpid())
    written = b"x" * 300_000_000
    assert 0.9 * len(written) < held_bytes(os.getpid()) - before < 1.2 * len(written)
    MemoryWatch(os.getpid(), None).look()
    MemoryWatch(os.getpid(), before + 10 * len(written)).look()
    with pytest.raises(OverLimit, match=r"limits.memory_gb allows"):
        MemoryWatch(os.getpid(), before).look()


def test_who_is_gone_holds_nothing(monkeypatch):
    assert held_bytes(2**22 + 1) == 0

    def vanish(self, pattern):
        raise FileNotFoundError("ended while it was looked at")

    monkeypatch.setattr(Path, "glob", vanish)
    assert held_bytes(os.getpid()) >= 0
