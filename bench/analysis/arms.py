"""Runs of many arms: one row per arm, with its ratio to the baseline and what bounds it.

The baseline is the first arm of the run's specification. A ratio is of medians, with an interval from whole ABBA
blocks. `roofline` is the share of the bound that the machine's own matrix and copy rates, taken in the same run, leave
for this arm's arithmetic and least memory traffic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.analysis import units
from bench.analysis.bootstrap import SAMPLES_PER_BLOCK, Interval, ratio_of_medians
from bench.analysis.results import Results

MACHINE = "machine"
COLUMNS = (
    "run_id", "study", "label", "device_id", "arm", "frames", "decode_s", "fps", "ratio", "ratio_low", "ratio_high",
    "first_frame_s", "steady_step_s", "cold_start_s", "peak_memory_bytes", "state_bytes", "psnr", "max_abs",
    "macs_per_frame", "roofline", "energy_per_frame_j", "accepted", "note",
)  # fmt: skip


def compare(results: Results) -> pd.DataFrame:
    """One row per run and arm, in the order of the specification; no rows where no run has arms."""
    found = []
    for run in results.of(results.finished("speed")).runs.to_dict("records"):
        rows = results.measurements[results.measurements["run_id"] == run["run_id"]]
        found += _rows_of(run, json.loads(run["spec_json"]), rows)
    return pd.DataFrame(found, columns=list(COLUMNS))


def frames_timed(spec: dict) -> int:
    """Frames of one decode, of all clips that are decoded at once."""
    return int(spec["timing"]["frames"] * spec["timing"].get("batch", 1))


def ratio(results: Results, run_id: str, numerator: str, denominator: str) -> Interval:
    """How many times longer a decode of `numerator` takes than one of `denominator`, two arms of one run."""
    rows = results.measurements[results.measurements["run_id"] == run_id]
    return _ratio(_times(rows, numerator), _times(rows, denominator))


def decode_seconds(results: Results, run_id: str, arm: str) -> Interval:
    """Median seconds of one decode of an arm, with an interval from whole ABBA blocks."""
    times = _times(results.measurements[results.measurements["run_id"] == run_id], arm)
    return _ratio(times, np.ones_like(times))


def decoders(results: Results) -> dict[tuple[str, str], str]:
    """The name of the decoder behind every run and arm, as the specification gives it; the arm's own name otherwise."""
    found = {}
    for run_id, text in zip(results.runs["run_id"], results.runs["spec_json"], strict=True):
        for arm, asked in (json.loads(text).get("arms") or {}).items():
            found[run_id, arm] = str(asked.get("decoder", arm)) if isinstance(asked, dict) else arm
    return found


def render_text(results: Results) -> str:
    """The comparisons as tables, one per run; empty where there is none."""
    table = compare(results)
    return "\n\n".join(_text(group) for _, group in table.groupby("run_id", sort=False))


def _rows_of(run: dict, spec: dict, rows: pd.DataFrame) -> list[dict]:
    frames, labels = frames_timed(spec), in_order(spec, rows)
    machine = rows[rows["arm"] == MACHINE].groupby("metric")["value"].median()
    base, found = _times(rows, labels[0]), []
    for label in labels:
        mine = rows[(rows["arm"] == label) & rows["stage"].isna()]
        value = mine.groupby("metric")["value"].median().to_dict()
        times = _times(rows, label)
        decode_s = float(np.median(times)) if len(times) else None
        against = _ratio(base, times)
        notes = mine["note"].dropna().unique()
        state = mine[(mine["metric"] == "state_bytes") & (mine["metric_version"] == "measured-1")]["value"]
        found.append({
            **{name: run[name] for name in ("run_id", "study", "label", "device_id")},
            **{name: value.get(name) for name in COLUMNS if name in value},
            "arm": label, "frames": frames, "decode_s": decode_s, "fps": frames / decode_s if decode_s else None,
            "ratio": against.value, "ratio_low": against.low, "ratio_high": against.high,
            "psnr": mine[(mine["metric"] == "psnr")]["value"].mean(),
            "state_bytes": state.median() if len(state) else None,
            "roofline": _share_of_roofline(value, machine.to_dict(), spec["arms"][label], frames, decode_s),
            "note": "; ".join(notes) or None,
        })  # fmt: skip
    return found


def in_order(spec: dict, rows: pd.DataFrame) -> list[str]:
    """Labels as the specification orders them, the baseline first: JSON sorted the keys, the rows kept the order."""
    seen = [arm for arm in rows["arm"].drop_duplicates() if arm in spec["arms"]]
    first = spec.get("baseline")
    return sorted(seen, key=lambda arm: arm != first) if first in seen else seen


def _times(rows: pd.DataFrame, arm: str) -> np.ndarray:
    mine = rows[(rows["arm"] == arm) & (rows["metric"] == "decode_time_s") & rows["value"].notna()]
    return mine.sort_values("repeat")["value"].to_numpy(dtype=float)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> Interval:
    both = min(len(numerator), len(denominator))
    return ratio_of_medians(numerator[:both], denominator[:both], np.arange(both) // SAMPLES_PER_BLOCK)


def matmul_rate(machine: Mapping[str, float], arm: dict) -> float | None:
    """The machine's matrix rate in the dtype of an arm, FLOP/s."""
    return machine.get(f"matmul_flops_{arm['runtime']['dtype']}")


def _share_of_roofline(value: dict, machine: dict, arm: dict, frames: int, decode_s: float | None) -> float | None:
    rate = matmul_rate(machine, arm)
    if decode_s is None or rate is None or "macs_per_frame" not in value:
        return None
    least_s = max(2 * value["macs_per_frame"] / rate, value["min_bytes_per_frame"] / machine["copy_bytes"])
    return frames * least_s / decode_s


_HEADINGS = (
    "arm", "ms", "FPS", "times as fast [95 %]", "first ms", "latent ms", "cold s", "memory", "state", "dB to f32",
    "roofline", "J/frame",
)  # fmt: skip


def _text(group: pd.DataFrame) -> str:
    rows = group.astype(object).where(group.notna(), None).to_dict("records")
    lines = [list(_HEADINGS)]
    for row in sorted(rows, key=lambda row: -(row["decode_s"] or 0)):
        mark = " " if row["accepted"] else "?"
        lines.append([
            f"{mark} {row['arm']}", _milli(row["decode_s"]), units.number(row["fps"], 2),
            units.interval(row["ratio"], row["ratio_low"], row["ratio_high"]), _milli(row["first_frame_s"]),
            _milli(row["steady_step_s"]), units.number(row["cold_start_s"], 1), units.short(row["peak_memory_bytes"]),
            units.short(row["state_bytes"]), units.number(row["psnr"], 1), units.number(row["roofline"], 2),
            units.number(row["energy_per_frame_j"], 2),
        ])  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADINGS))]
    first = rows[0]
    title = (
        f"{first['study']} {first['label']}, {first['frames']} frames, {first['device_id']}; against {rows[0]['arm']}"
    )
    body = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    notes = [f"? {row['arm']}: {row['note']}" for row in rows if row["note"]]
    return "\n".join([title, "", *body, *([""] if notes else []), *notes])


def _milli(seconds: float | None) -> str:
    return units.number(None if seconds is None else 1e3 * seconds, 1)
