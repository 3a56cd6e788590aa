"""The interval of a speed-up covers the truth about as often as it says, and drift does not fool it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.bootstrap import ratio_of_medians


def test_an_exact_ratio_has_no_width():
    student = np.array([1.0, 1.1, 0.9, 1.0, 1.2, 0.8])
    interval = ratio_of_medians(3 * student, student, np.arange(6) // 2)
    assert interval.value == pytest.approx(3.0)
    assert interval.low == pytest.approx(3.0)
    assert interval.high == pytest.approx(3.0)


def test_the_interval_covers_the_true_ratio_about_as_often_as_promised():
    rng, hits, trials = np.random.default_rng(0), 0, 150
    block = np.arange(40) // 2
    for _ in range(trials):
        drift = np.repeat(rng.normal(1, 0.05, 20), 2)
        teacher, student = (level * drift * rng.normal(1, 0.03, 40) for level in (4.0, 2.0))
        interval = ratio_of_medians(teacher, student, block)
        hits += interval.low <= 2.0 <= interval.high
    assert 0.85 < hits / trials <= 1.0


def test_shared_drift_cancels():
    drift = np.repeat(np.linspace(1, 3, 15), 2)
    jitter = np.random.default_rng(1).normal(1, 0.01, 30)
    together = ratio_of_medians(2 * drift * jitter, drift, np.arange(30) // 2)
    assert together.high - together.low < 0.1


def test_more_noise_gives_a_wider_interval():
    rng = np.random.default_rng(0)
    widths = []
    for spread in (0.01, 0.1):
        teacher, student = 2 * rng.normal(1, spread, 30), rng.normal(1, spread, 30)
        interval = ratio_of_medians(teacher, student, np.arange(30) // 2)
        widths.append(interval.high - interval.low)
    assert widths[1] > 3 * widths[0]


def test_the_same_rows_give_the_same_interval():
    teacher, student = np.random.default_rng(0).normal(2, 0.1, (2, 20))
    block = np.arange(20) // 2
    assert ratio_of_medians(teacher, student, block) == ratio_of_medians(teacher, student, block)


def test_blocks_of_different_size_are_allowed():
    interval = ratio_of_medians(np.array([4.0, 4.2, 3.8]), np.array([2.0, 2.1, 1.9]), np.array([0, 0, 1]))
    assert interval.value == pytest.approx(2.0)
    assert interval.low <= interval.value <= interval.high


def test_too_little_to_say():
    one_block = ratio_of_medians(np.array([4.0, 4.0]), np.array([2.0, 2.0]), np.array([0, 0]))
    assert one_block.value == 2.0
    assert math.isnan(one_block.low)
    assert math.isnan(one_block.high)
    assert math.isnan(ratio_of_medians(np.array([]), np.array([]), np.array([])).value)
    with pytest.raises(ValueError, match="same length"):
        ratio_of_medians(np.array([1.0]), np.array([1.0, 2.0]), np.array([0]))
