"""Reconstruction: frames per second, PSNR, SSIM and LPIPS of every decoder, measured here and printed elsewhere.

Quoted numbers stand in blocks of their own, marked, below ours: clips, sizes and machines differ.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from bench.analysis import arms
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import WIDE, Material, PaperFigure
from bench.analysis.results import Results
from bench.analysis.summary import summarise

STUDIES = ("peers", "speed_gpu", "speed_ltx", "quickstart", "distill_hour")
QUALITIES = ("psnr", "ssim", "lpips")
COLUMNS = [
    "kind", "block", "latent_space", "decoder", "device", "clip", "fps", "speedup", "speedup_low", "speedup_high",
    "accepted", *QUALITIES, "source", "protocol",
]  # fmt: skip
PLAN, CRITERION, PHASES = "paper", "independence", "align+joint+refine"  # what "ours" is: the whole method
SPACES = {"wan21": "Wan 2.1", "ltx": "LTX-Video"}
TEACHER = "teacher"


def numbers(material: Material) -> pd.DataFrame:
    """One row per decoder, device and way to measure. `kind` is "measured" or "quoted"; `speedup` is over the first
    decoder of the block, or the teacher timed beside; `clip` is the timed one, frames x height x width.

    Measured: full-size decoders side by side (random weights, so no quality), then the teacher that comes with this
    project and its students by the whole method. Without a measured row there is no row at all.
    """
    results = material.of(STUDIES)
    parts = [_full_size(results), _students(results)]
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat([*parts, _quoted(material.published)], ignore_index=True).reindex(columns=COLUMNS)


def _full_size(results: Results) -> pd.DataFrame:
    runs, names, found = results.runs.set_index("run_id"), arms.decoders(results), []
    for row in arms.compare(results).to_dict("records"):
        run = runs.loc[row["run_id"]]
        spec = json.loads(run["spec_json"])
        decoder, first = (names.get((row["run_id"], arm), arm) for arm in (row["arm"], spec.get("baseline", "")))
        runtime = spec["arms"][row["arm"]].get("runtime") or {}
        way = (
            ""
            if spec["arms"][row["arm"]].get("program", "ours") == "ours"
            else f", {spec['arms'][row['arm']]['program']}"
        )
        found.append({
            "kind": "measured", "block": f"measured, speed alone: study {row['study']}, speed-up over {first}",
            "latent_space": SPACES["ltx"] if "ltx" in decoder else SPACES["wan21"],
            "decoder": f"{decoder} ({runtime.get('name', 'eager')}, {runtime.get('dtype', 'float32')}{way})",
            "device": run["device_name"], "clip": _clip(spec), "fps": row["fps"], "speedup": row["ratio"],
            "speedup_low": row["ratio_low"], "speedup_high": row["ratio_high"], "accepted": row["accepted"],
            "protocol": run["protocol_id"],
        })  # fmt: skip
    return pd.DataFrame(found)


def _students(results: Results) -> pd.DataFrame:
    summary = summarise(results)
    rows = summary[(summary["plan"] == PLAN) & (summary["criterion"] == CRITERION) & (summary["phases"] == PHASES)]
    rows = rows[rows.get("psnr_source", pd.Series(np.nan, rows.index)).notna()]
    parts = []
    for (teacher, protocol_id), group in rows.groupby(["teacher", "protocol_id"]):
        block = f"measured: {teacher} teacher and students by the whole method, protocol {protocol_id}"
        told = {"kind": "measured", "block": block, "latent_space": teacher, "protocol": protocol_id}
        for device, timed in group[group["fps"].notna()].groupby("device_name"):
            own = {
                f"{name}": timed.get(f"teacher_{name}_source", pd.Series(dtype=float)).median() for name in QUALITIES
            }
            parts.append({
                **told, "decoder": TEACHER, "device": device, "clip": timed["timing"].iloc[0],
                "fps": timed["teacher_fps"].median(), "speedup": 1.0, **own,
            })  # fmt: skip
        for row in group.sort_values(["steps", "ratio"], ascending=[True, False]).to_dict("records"):
            fast = row["fps"] == row["fps"]
            parts.append({
                **told, "decoder": f"ours, {style.share(row['ratio'])} of the channels, {row['steps']:.0f} steps",
                "device": row["device_name"] if fast else None, "clip": row["timing"] if fast else None,
                "fps": row["fps"],
                "speedup": row["speedup"], "speedup_low": row["speedup_low"], "speedup_high": row["speedup_high"],
                **{name: row.get(f"{name}_source") for name in QUALITIES},
            })  # fmt: skip
    return pd.DataFrame(parts)


def _quoted(published: pd.DataFrame) -> pd.DataFrame:
    """Printed rows of decoders of Wan 2.1's and LTX-Video's latents that come with a quality, one per device."""
    rows = published[published["latent_space"].isin(SPACES) & published["metric"].isin(["fps", *QUALITIES])]
    found = []
    for (source, dataset), of_source in rows.groupby(["source", "dataset"], sort=False):
        protocol = "; ".join(of_source["protocol"].unique())
        for (space, decoder), own in of_source.groupby(["latent_space", "decoder"], sort=False):
            quality = own[own["metric"].isin(QUALITIES)].set_index("metric")["value"].to_dict()
            speeds = own[own["metric"] == "fps"]
            told = {
                "kind": "quoted", "block": f"quoted{latex.DAGGER}, {dataset}: {source}", "latent_space": SPACES[space],
                "decoder": decoder + latex.DAGGER, "source": source, "protocol": protocol, **quality,
            }  # fmt: skip
            timed = list(zip(speeds["device"], speeds["value"], strict=True)) or [(None, None)]
            found += [{**told, "device": device, "fps": value} for device, value in timed] if quality else []
    return pd.DataFrame(found)


def _clip(spec: dict) -> str:
    return "x".join(str(spec["timing"][name]) for name in ("frames", "height", "width"))


def _number(column: str, heading: str, digits: int) -> latex.Cell:
    """So many decimals where we measured; what was printed gets no digit that was not."""
    ours = latex.fixed(column, heading, digits)
    return latex.Cell(
        heading,
        lambda row: f"{row[column]:g}" if row["kind"] == "quoted" and row[column] is not None else ours.write(row),
    )


def _speedup(row: dict) -> str:
    return latex.interval("speedup", "").write(row) + ("?" if row["accepted"] == 0 else "")


FIGURE = PaperFigure(
    title="Reconstruction by device: speed, and quality against the source. Brackets: 95 % intervals within one run.",
    studies=STUDIES, numbers=numbers, width=WIDE, blocks="block",
    cells=(
        latex.text("decoder", "decoder"), latex.text("device", "device"), latex.text("clip", "timed clip"),
        _number("fps", "frames/s", 2), latex.Cell("speed-up", _speedup), _number("psnr", "PSNR (dB)", 2),
        _number("ssim", "SSIM", 4), _number("lpips", "LPIPS", 4),
    ),
    notes=(
        "? The machine did not hold still, or the interval is wide: not to be quoted.",
        f"{latex.DAGGER} As printed by the source named; other clips, sizes and machines, not to be ranked with ours.",
    ),
)  # fmt: skip
