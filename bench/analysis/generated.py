"""Whole videos made by a host's pipeline with different decoders: time per part, and VBench-2.0 scores, from rows.

A run of the generate task stores, per arm and repeat, the seconds of each part (`text_s`, `denoise_s`, `decode_s`,
`write_s`) and of the whole (`end_to_end_s`); its specification names the baseline arm. `vbench2_<Dimension>` rows hold
one score per video and arm.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from bench.analysis.arms import in_order
from bench.analysis.bootstrap import SAMPLES_PER_BLOCK, ratio_of_medians
from bench.analysis.deltas import mean_of_pairs
from bench.analysis.results import Results
from bench.analysis.spec import dig

PARTS = ("text_s", "denoise_s", "decode_s", "write_s")
WHOLE = "end_to_end_s"
VBENCH = "vbench2_"
COLUMNS = [
    "run_id", "host", "label", "device_id", "arm", *PARTS, WHOLE, "speedup", "speedup_low", "speedup_high", "amdahl",
    "amdahl_ceiling",
]  # fmt: skip


def table(results: Results) -> pd.DataFrame:
    """One row per run and arm, the baseline first: median seconds per part, the speed-up of the whole with its 95 %
    interval, the speed-up that the decoder's alone predicts (`amdahl`), and what an infinitely fast decoder would give
    (`amdahl_ceiling`). No rows where no run generated videos.
    """
    found = []
    for run in results.runs[results.runs["status"] == "ok"].to_dict("records"):
        rows = results.measurements[results.measurements["run_id"] == run["run_id"]]
        if (rows["metric"] == WHOLE).any():
            found += _of_run(run, rows)
    return pd.DataFrame(found, columns=COLUMNS)


def _of_run(run: dict, rows: pd.DataFrame) -> list[dict]:
    spec = json.loads(run["spec_json"])
    arms = in_order(spec if isinstance(dig(spec, "arms"), dict) else {"arms": set(rows["arm"])}, rows)
    seconds = rows[rows["metric"].isin([*PARTS, WHOLE])].groupby(["arm", "metric"])["value"].median().unstack("metric")
    base = seconds.reindex(index=[arms[0]], columns=[*PARTS, WHOLE]).iloc[0]
    found = []
    for arm in arms:
        mine = seconds.reindex(index=[arm], columns=[*PARTS, WHOLE]).iloc[0]
        numerator, denominator = (_samples(rows, name) for name in (arms[0], arm))
        both = min(len(numerator), len(denominator))
        ratio = ratio_of_medians(numerator[:both], denominator[:both], np.arange(both) // SAMPLES_PER_BLOCK)
        rest = base[WHOLE] - base["decode_s"]
        found.append({
            **{name: run[name] for name in ("run_id", "label", "device_id")},
            "host": dig(spec, "generate", "host") or "unknown host", "arm": arm, **mine.to_dict(),
            "speedup": ratio.value, "speedup_low": ratio.low, "speedup_high": ratio.high,
            "amdahl": base[WHOLE] / (rest + mine["decode_s"]),
            "amdahl_ceiling": base[WHOLE] / rest if rest > 0 else np.nan,
        })  # fmt: skip
    return found


def _samples(rows: pd.DataFrame, arm: str) -> np.ndarray:
    mine = rows[(rows["arm"] == arm) & (rows["metric"] == WHOLE) & rows["value"].notna()]
    return mine.sort_values("repeat")["value"].to_numpy(dtype=float)


def dimensions(results: Results) -> pd.DataFrame:
    """VBench-2.0 by dimension and arm: columns run_id, label, dimension, arm, score (mean over videos, 0 to 1), videos,
    and the paired difference from the baseline, delta, low, high (95 %, over videos).
    """
    rows = results.measurements
    rows = rows[rows["metric"].str.startswith(VBENCH) & rows["clip"].notna() & rows["value"].notna()]
    runs = results.runs.set_index("run_id")
    found = []
    for (run_id, metric), group in rows.groupby(["run_id", "metric"], sort=False):
        wide = group.pivot_table(index="clip", columns="arm", values="value", aggfunc="mean")
        spec = json.loads(runs.loc[run_id, "spec_json"])
        order = in_order(spec if isinstance(dig(spec, "arms"), dict) else {"arms": set(wide)}, group)
        for arm in order:
            pairs = (wide[arm] - wide[order[0]]).dropna().to_numpy(dtype=float)
            delta = mean_of_pairs(pairs[None, :]) if len(pairs) and arm != order[0] else None
            found.append({
                "run_id": run_id, "label": runs.loc[run_id, "label"], "arm": arm,
                "dimension": str(metric).removeprefix(VBENCH).replace("_", " "), "score": float(wide[arm].mean()),
                "videos": int(wide[arm].notna().sum()), "delta": delta.value if delta else np.nan,
                "low": delta.low if delta else np.nan, "high": delta.high if delta else np.nan,
            })  # fmt: skip
    columns = ["run_id", "label", "dimension", "arm", "score", "videos", "delta", "low", "high"]
    return pd.DataFrame(found, columns=columns)
