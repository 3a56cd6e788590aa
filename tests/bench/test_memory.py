"""Peak memory is that of the call alone, also when a larger one ran before it."""

from __future__ import annotations

import pytest
import torch

from bench import memory

MIB = 2**20
CPU = torch.device("cpu")


def touch(mebibytes: int):
    return lambda: float(torch.ones(mebibytes * MIB // 4).sum())


@pytest.mark.parametrize("method", ["kernel", "sampled"])
def test_peak_is_the_size_that_was_touched(method, monkeypatch):
    if method == "sampled":
        monkeypatch.setattr(memory, "_reset_peak", lambda: False)
    elif not memory._reset_peak():
        pytest.skip("this kernel does not let a process reset its peak")
    touch(200)()
    for mebibytes in (128, 64):  # the smaller one second: nothing of the larger may be counted
        peak, version = memory.peak_increase_bytes(touch(mebibytes), CPU)
        assert peak == pytest.approx(mebibytes * MIB, rel=0.2, abs=4 * MIB)
    assert version == {"kernel": "rss-peak-1", "sampled": "rss-sampled-1"}[method]


def test_freed_heap_of_an_earlier_call_does_not_hide_a_later_one():
    if not memory._reset_peak():
        pytest.skip("this kernel does not let a process reset its peak")

    def small_blocks(mebibytes: int):
        return lambda: len([torch.ones(4096) for _ in range(mebibytes * MIB // 16384)])

    small_blocks(128)()
    peak, _ = memory.peak_increase_bytes(small_blocks(64), CPU)
    assert peak == pytest.approx(64 * MIB, rel=0.3)


def test_an_exception_in_the_call_passes_through(monkeypatch):
    monkeypatch.setattr(memory, "_reset_peak", lambda: False)
    with pytest.raises(ZeroDivisionError):
        memory.peak_increase_bytes(lambda: 1 / 0, CPU)
