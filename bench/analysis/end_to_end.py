"""Decoders inside a program that generates: where the time goes, what exchanging the decoder gives, and Amdahl's bound.

With the host's own decoder a generation takes text + denoise + decode + write. An arm changes decode (and what it
writes); `amdahl` is the speed-up that its own parts promise, `amdahl_ceiling` the one of a decoder that takes no time.
`speedup` is measured on whole generations and may differ from `amdahl` by what lies between the parts.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from bench.analysis import units
from bench.analysis.arms import in_order
from bench.analysis.bootstrap import SAMPLES_PER_BLOCK, ratio_of_medians
from bench.analysis.results import Results
from bench.analysis.spec import dig

PARTS = ("text_s", "denoise_s", "decode_s", "write_s")
WHOLE = "end_to_end_s"
QUALITY = ("psnr", "ssim", "lpips", "sharpness", "flicker")
COLUMNS = (
    "run_id", "study", "label", "device_id", "device_name", "host", "frames", "arm", *PARTS, WHOLE, "decode_share",
    "speedup", "speedup_low", "speedup_high", "amdahl", "amdahl_ceiling", "first_frame_s", "peak_memory_bytes",
    *QUALITY, "videos", "accepted", "note",
)  # fmt: skip


def table(results: Results) -> pd.DataFrame:
    """One row per run and arm, the baseline first: seconds, speed-ups with 95 % intervals, paired quality (means)."""
    found = []
    for run in results.of(results.finished("generate")).runs.to_dict("records"):
        rows = results.measurements[results.measurements["run_id"] == run["run_id"]]
        found += _rows_of(run, json.loads(run["spec_json"]), rows)
    return pd.DataFrame(found, columns=list(COLUMNS))


def render_text(results: Results) -> str:
    """The comparisons as tables, one per run; empty where there is none."""
    return "\n\n".join(_text(group) for _, group in table(results).groupby("run_id", sort=False))


def _rows_of(run: dict, spec: dict, rows: pd.DataFrame) -> list[dict]:
    labels = in_order(spec if isinstance(dig(spec, "arms"), dict) else {"arms": set(rows["arm"])}, rows)
    if not labels:
        return []
    base = labels[0]
    medians = {label: _medians(rows, label) for label in labels}
    whole = {label: _samples(rows, label) for label in labels}
    found = []
    for label in labels:
        own, first = medians[label], medians[base]
        mine = rows[rows["arm"] == label]
        judged = mine[mine["clip"].notna()]
        quality = judged.groupby("metric")["value"].mean()
        count = min(len(whole[base]), len(whole[label]))
        ratio = ratio_of_medians(whole[base][:count], whole[label][:count], np.arange(count) // SAMPLES_PER_BLOCK)
        notes = mine["note"].dropna().unique()
        parts = [sum(of.get(part, np.nan) for part in PARTS) for of in (first, own)]
        found.append({
            **{name: run[name] for name in ("run_id", "study", "label", "device_id", "device_name")},
            **{name: own.get(name) for name in (*PARTS, WHOLE, "first_frame_s", "peak_memory_bytes", "accepted")},
            **{name: quality.get(name) for name in QUALITY},
            "host": str(dig(spec, "host", "name")), "frames": dig(spec, "host", "frames"), "arm": label,
            "decode_share": own.get("decode_s", np.nan) / parts[1],
            "speedup": ratio.value, "speedup_low": ratio.low, "speedup_high": ratio.high,
            "amdahl": parts[0] / parts[1],
            "amdahl_ceiling": parts[0] / (parts[0] - first.get("decode_s", np.nan)),
            "videos": judged["clip"].nunique(), "note": "\n".join(notes) or None,
        })  # fmt: skip
    return found


def _medians(rows: pd.DataFrame, label: str) -> dict[str, float]:
    mine = rows[(rows["arm"] == label) & rows["clip"].isna()]
    return mine.groupby("metric")["value"].median().to_dict()


def _samples(rows: pd.DataFrame, label: str) -> np.ndarray:
    mine = rows[(rows["arm"] == label) & (rows["metric"] == WHOLE)]
    return mine.sort_values("repeat")["value"].to_numpy(dtype=float)


_HEADINGS = (
    "arm", "text ms", "denoise", "decode", "write", "whole ms", "decode share", "times as fast [95 %]", "by its parts",
    "at most", "first ms", "memory", "PSNR dB", "SSIM", "LPIPS", "sharp", "flicker",
)  # fmt: skip


def _text(group: pd.DataFrame) -> str:
    rows = group.astype(object).where(group.notna(), None).to_dict("records")
    lines = [list(_HEADINGS)]
    for row in rows:
        lines.append([
            f"{' ' if row['accepted'] else '?'} {row['arm']}", *(_milli(row[name]) for name in (*PARTS, WHOLE)),
            units.number(row["decode_share"], 2),
            units.interval(row["speedup"], row["speedup_low"], row["speedup_high"]),
            units.number(row["amdahl"], 2), units.number(row["amdahl_ceiling"], 2), _milli(row["first_frame_s"]),
            units.short(row["peak_memory_bytes"]), units.number(row["psnr"], 1), units.number(row["ssim"], 4),
            units.number(row["lpips"], 4), units.number(row["sharpness"], 3), units.number(row["flicker"], 3),
        ])  # fmt: skip
    kept = [i for i, name in enumerate(_HEADINGS) if any(line[i] != units.NOTHING for line in lines[1:])]
    widths = {i: max(len(line[i]) for line in lines) for i in kept}
    first = rows[0]
    title = (
        f"{first['study']} {first['label']}, {first['frames']} frames by {first['host']}, {first['device_id']}; "
        f"against {first['arm']}, {first['videos']} videos"
    )
    body = ["  ".join(line[i].ljust(widths[i]) if i == 0 else line[i].rjust(widths[i]) for i in kept) for line in lines]
    said: dict[str, list[str]] = {}
    for row in rows:
        for note in (row["note"] or "").splitlines():
            said.setdefault(note, []).append(row["arm"])
    notes = [f"? {'every arm' if len(arms) == len(rows) else ', '.join(arms)}: {note}" for note, arms in said.items()]
    return "\n".join([title, "", *body, *([""] if notes else []), *notes])


def _milli(seconds: float | None) -> str:
    return units.number(None if seconds is None else 1e3 * seconds, 1)
