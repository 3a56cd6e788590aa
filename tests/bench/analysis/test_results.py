"""What reading adds to the stored tables."""

from __future__ import annotations

import pytest

from bench.analysis.results import short_name


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("Intel(R) Xeon(R) Processor (2 threads)", "Intel Xeon (2 threads)"),
        ("Intel(R) Core(TM) i9-13900K CPU @ 3.00GHz (8 threads)", "Intel Core i9-13900K @ 3.00GHz (8 threads)"),
        ("AMD EPYC (2 threads)", "AMD EPYC (2 threads)"),
        ("AMD EPYC 7763 64-Core Processor (4 threads)", "AMD EPYC 7763 64-Core (4 threads)"),
        ("NVIDIA H200", "NVIDIA H200"),
        (None, None),
    ],
)
def test_devices_are_shown_without_what_the_law_adds(stored, shown):
    assert short_name(stored) == shown
