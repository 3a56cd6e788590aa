"""How sure a speed-up or a difference is: intervals for the ratio of two medians and for a mean of means.

Samples of two interleaved arms share the machine's drift, so whole ABBA blocks are drawn, not single samples; videos of
one prompt are alike, so whole prompts are (percentile bootstrap; Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
NUMBERS_AT_ONCE = 2_000_000  # drawn numbers held in memory
SAMPLES_PER_BLOCK = 2  # an ABBA block holds two samples of each arm


@dataclass(frozen=True)
class Interval:
    """A point estimate with its interval; the bounds are NaN where there are too few blocks to say."""

    value: float
    low: float
    high: float


def ratio_of_medians(
    numerator: np.ndarray, denominator: np.ndarray, block: np.ndarray, level: float = 0.95, seed: int = 0
) -> Interval:
    """median(numerator) / median(denominator) and its bootstrap interval; all three arrays have shape (samples,).

    `block[i]` says which block sample i of both arms belongs to. The draw is seeded: the same rows, the same interval.
    """
    if not len(numerator) == len(denominator) == len(block):
        raise ValueError("numerator, denominator and block must have the same length")
    if not len(block):
        return Interval(math.nan, math.nan, math.nan)
    value = float(np.median(numerator) / np.median(denominator))
    names, index = np.unique(block, return_inverse=True)
    if len(names) < 2:
        return Interval(value, math.nan, math.nan)
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    ratios = _medians(numerator, index, drawn) / _medians(denominator, index, drawn)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def mean_of_means(values: np.ndarray, level: float = 0.95, seed: int = 0) -> Interval:
    """The mean over columns of each column's mean, and its bootstrap interval; `values` has shape (clusters, columns).

    A row is one cluster and is drawn as a whole; NaN marks what it does not have. NaN where a column is empty, bounds
    NaN where a column has fewer than two numbers. Draws that leave a column empty are left out.
    """
    there = ~np.isnan(values)
    counts = there.sum(axis=0)
    if not values.size or not counts.all():
        return Interval(math.nan, math.nan, math.nan)
    known = np.where(there, values, 0.0)
    value = float((known.sum(axis=0) / counts).mean())
    if counts.min() < 2:
        return Interval(value, math.nan, math.nan)
    clusters = len(values)
    times = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES)
    drawn = times @ there
    full = (drawn > 0).all(axis=1)
    means = ((times @ known)[full] / drawn[full]).mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def ratios_of_medians(numerators: np.ndarray, denominators: np.ndarray, block: np.ndarray) -> np.ndarray:
    """`ratio_of_medians` of many runs with the same blocks at once: the same numbers, much faster.

    `numerators` and `denominators` have shape (runs, samples), `block` (samples,) is that of every run, of equally long
    blocks. Gives shape (runs, 3): value, low, high.
    """
    names, index, counts = np.unique(block, return_inverse=True, return_counts=True)
    if len(names) < 2 or len(set(counts)) > 1:
        found = [ratio_of_medians(*arms, block) for arms in zip(numerators, denominators, strict=True)]
        return np.array([[one.value, one.low, one.high] for one in found]).reshape(-1, 3)
    drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    sets, which = np.unique(np.sort(drawn, axis=1), axis=0, return_inverse=True)  # a median forgets the order
    in_blocks = np.argsort(index, kind="stable").reshape(len(names), -1)
    samples = in_blocks[sets].reshape(len(sets), -1)
    at_once = max(1, NUMBERS_AT_ONCE // samples.size)
    parts = [np.empty((0, 3))]
    for start in range(0, len(numerators), at_once):
        above, below = numerators[start : start + at_once], denominators[start : start + at_once]
        ratios = np.median(above[:, samples], axis=2) / np.median(below[:, samples], axis=2)
        bounds = np.quantile(ratios[:, which], [0.025, 0.975], axis=1)
        parts.append(np.stack([np.median(above, axis=1) / np.median(below, axis=1), *bounds], axis=1))
    return np.concatenate(parts)


def _medians(samples: np.ndarray, block_index: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Median of each draw of blocks, shape (draws,); a block with fewer samples is padded with NaN."""
    counts = np.bincount(block_index)
    padded = np.full((len(counts), counts.max()), np.nan)
    for block, count in enumerate(counts):
        padded[block, :count] = samples[block_index == block]
    median = np.median if counts.min() == counts.max() else np.nanmedian
    return median(padded[drawn].reshape(len(drawn), -1), axis=1)
