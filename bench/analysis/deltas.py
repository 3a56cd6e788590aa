"""What a variant changes against its study's control: paired differences with bootstrap intervals.

Runs of one seed form a pair. Where a number is a mean over clips, the clips are pairs too. An interval comes from
drawing seeds, and within them clips, with replacement (percentile bootstrap of clusters; Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8). It says how much the mean depends on which seeds and clips
were taken, no more: with two or three of each it is rough.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from bench.analysis import units
from bench.analysis.bootstrap import RESAMPLES, Interval
from bench.analysis.columns import Column
from bench.analysis.results import Results
from bench.analysis.study import SEED, corner_text, split_label

COLUMNS = [
    "variant", "corner", "plan", "column", "value", "control", "delta", "low", "high", "seeds", "clips", "paired",
]  # fmt: skip


def with_variants(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with `variant`, `corner` and `seed_of_label` of every label."""
    split = [split_label(str(label)) for label in summary["label"]]
    seeds = [corner.get(SEED) for _, corner in split]
    stored = summary["seed"].map(lambda seed: "" if pd.isna(seed) else f"{seed:g}")
    return summary.assign(
        variant=[name for name, _ in split],
        corner=[corner_text(corner) for _, corner in split],
        seed_of_label=[given if given is not None else seed for given, seed in zip(seeds, stored, strict=True)],
    )


def clip_values(results: Results) -> pd.DataFrame:
    """Mean over frames of the student's every quality metric: columns run_id, column (`psnr_source`), clip, value."""
    rows = results.measurements
    kept = (rows["arm"] == "student") & rows["against"].notna() & rows["clip"].notna() & rows["stage"].isna()
    rows = rows[kept & rows["value"].notna()]
    column = rows["metric"] + "_" + rows["against"]
    means = rows.assign(column=column).groupby(["run_id", "column", "clip"], sort=False)["value"].mean()
    return means.reset_index()


def deltas(summary: pd.DataFrame, clips: pd.DataFrame, control: str, columns: list[str]) -> pd.DataFrame:
    """One row per variant, corner and column, in the order of `summary`: variant minus `control`, `COLUMNS`.

    A variant is compared with the control at its own corner, or with the only one there is; pairs are runs of equal
    seed, and where no seed is equal the difference is of means without an interval. Corners without a control and
    columns without numbers give no row.
    """
    runs = with_variants(summary[summary["status"] == "ok"])
    table = {name: _numbers(runs, clips, name) for name in columns if name in runs}
    groups = {key: list(group["run_id"]) for key, group in runs.groupby(["variant", "corner"], sort=False)}
    plans = dict(zip(runs["run_id"], runs["plan"], strict=True))
    seeds = dict(zip(runs["run_id"], runs["seed_of_label"], strict=True))
    controls = {corner: ids for (variant, corner), ids in groups.items() if variant == control}
    found = []
    for (variant, corner), ids in groups.items():
        against = controls.get(corner) or (next(iter(controls.values())) if len(controls) == 1 else None)
        if variant == control or against is None:
            continue
        for name, numbers in table.items():
            row = _compare(*(_by_seed(numbers, seeds, runs_of) for runs_of in (ids, against)))
            if row is not None:
                found.append({"variant": variant, "corner": corner, "plan": plans[ids[0]], "column": name, **row})
    return pd.DataFrame(found, columns=COLUMNS)


def _numbers(runs: pd.DataFrame, clips: pd.DataFrame, name: str) -> dict[str, np.ndarray]:
    """The column's numbers of every run, one per clip; a single one where it is not a mean over clips."""
    of_clips = clips[clips["column"] == name]
    if len(of_clips):
        wide = of_clips.pivot(index="run_id", columns="clip", values="value")
    else:
        wide = runs.set_index("run_id")[[name]].astype(float)
    return dict(zip(wide.index, wide.to_numpy(dtype=float), strict=True))


def _by_seed(numbers: dict[str, np.ndarray], seeds: dict[str, str], run_ids: list[str]) -> dict[str, np.ndarray]:
    """The numbers of these runs by their seed; of two with one seed the first, and none that has no number."""
    found: dict[str, np.ndarray] = {}
    for run_id in run_ids:
        if run_id in numbers and not np.isnan(numbers[run_id]).all():
            found.setdefault(seeds[run_id], numbers[run_id])
    return found


def _compare(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict | None:
    if not mine or not theirs:
        return None
    means = [float(np.mean([np.nanmean(one) for one in side.values()])) for side in (mine, theirs)]
    told = {"value": means[0], "control": means[1]}
    common = [seed for seed in mine if seed in theirs]
    if not common:
        return told | _told(Interval(means[0] - means[1], np.nan, np.nan), 0, 0, False)
    pairs = np.stack([mine[seed] - theirs[seed] for seed in common])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if not pairs.size:
        return None
    seeds, clips = pairs.shape
    return told | _told(mean_of_pairs(pairs), seeds, clips, True)


def _told(difference: Interval, seeds: int, clips: int, paired: bool) -> dict:
    return {"delta": difference.value, "low": difference.low, "high": difference.high,
            "seeds": seeds, "clips": clips, "paired": paired}  # fmt: skip


def mean_of_pairs(differences: np.ndarray, level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of `differences` (seeds, clips) and its interval; NaN bounds where a single pair says nothing."""
    value = float(differences.mean())
    if differences.size < 2:
        return Interval(value, np.nan, np.nan)
    drawn = _weights(*differences.shape, seed) @ differences.ravel()
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


@functools.lru_cache(maxsize=64)
def _weights(seeds: int, clips: int, seed: int) -> np.ndarray:
    """How much each pair counts in each draw of seeds, and of clips within them, shape (draws, seeds * clips)."""
    draw = np.random.default_rng(seed)
    which = draw.integers(seeds, size=(RESAMPLES, seeds, 1))
    within = draw.integers(clips, size=(RESAMPLES, seeds, clips))
    weights = np.zeros((RESAMPLES, seeds * clips))
    np.add.at(weights, (np.arange(RESAMPLES)[:, None, None], which * clips + within), 1.0 / (seeds * clips))
    return weights


def verdict(row: dict, column: Column) -> str:
    """`better`, `worse`, `not told apart` (the interval holds zero) or `no interval`."""
    if not np.isfinite([row["low"], row["high"]]).all():
        return "same" if row["delta"] == 0 else "no interval"
    if row["low"] <= 0 <= row["high"]:
        return "not told apart"
    return "better" if (row["delta"] > 0) == column.higher_is_better else "worse"


def reading(table: pd.DataFrame, column: Column, control: str, at_most: int = 6) -> list[str]:
    """The rows of one column in plain words, a sentence per verdict."""
    rows = [row | {"verdict": verdict(row, column)} for row in table.to_dict("records")]
    said = {
        "better": f"Better than {control}, with an interval that leaves zero out",
        "worse": f"Worse than {control}, with an interval that leaves zero out",
        "not told apart": f"Not told apart from {control}: the interval holds zero",
        "no interval": "A single pair, or none: the difference is stated without an interval",
        "same": f"The same number as {control}",
    }
    sentences = []
    for kind, start in said.items():
        mine = sorted((row for row in rows if row["verdict"] == kind), key=lambda row: -abs(row["delta"]))
        if mine:
            more = f" and {len(mine) - at_most} more" if len(mine) > at_most else ""
            sentences.append(f"{start}: {', '.join(_phrase(row, column) for row in mine[:at_most])}{more}.")
    return sentences


def _phrase(row: dict, column: Column) -> str:
    name = f"{row['variant']} {row['corner']}".strip()
    unit = f" {column.unit}" if column.unit else ""
    bounds = "" if np.isnan(row["low"]) else f" [{_signed(row['low'])}, {_signed(row['high'])}]"
    return f"{name} {_signed(row['delta'])}{bounds}{unit}"


def _signed(value: float) -> str:
    if abs(value) >= 1000:
        return ("+" if value > 0 else "-") + units.short(abs(value))
    return f"{value:+.3g}"
