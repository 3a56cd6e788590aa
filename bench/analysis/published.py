"""Numbers that papers printed, kept beside our own and never ranked with them.

Their clips, resolution, precision and machine differ from ours or are not stated, so they are a reference to read, not
points on a front.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

COLUMNS = [
    "decoder", "latent_space", "compression_thw", "dataset", "device", "metric", "unit", "value", "source", "protocol",
]  # fmt: skip


def load_published(results_dir: str | os.PathLike) -> pd.DataFrame:
    """All rows of `<results_dir>/published/*.csv`, columns `COLUMNS`; a folder without such files gives an empty frame.

    Raises `ValueError` for a file that is not such a table.
    """
    tables = [_read(path) for path in sorted(Path(results_dir).glob("published/*.csv"))]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def published_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per decoder, data set, source and protocol, one column per metric and device, as printed.

    Numbers of a single stage, whose metric has a second word (`stage_time mid`), are left out.
    """
    rows = rows[~rows["metric"].str.contains(" ")]
    metric = rows["metric"] + (" " + rows["device"]).where(rows["device"] != "", "")
    wide = rows.assign(metric=metric).pivot_table(
        index=["decoder", "latent_space", "compression_thw", "dataset", "source", "protocol"],
        columns="metric", values="value", sort=False,
    )  # fmt: skip
    wide = wide.reset_index().rename_axis(columns=None)
    return wide[[name for name in wide if name not in ("source", "protocol")] + ["source", "protocol"]]


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype={"value": float})
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not a table of published numbers: {error}") from error
    if list(table.columns) != COLUMNS:
        raise ValueError(f"{path} must have exactly the columns {', '.join(COLUMNS)}")
    return table


def published_points(rows: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Printed numbers for the axes `x` and `y` of a summary: columns name, x, y, note; no rows where none were printed.

    `psnr_source` stands for the printed `psnr`, and so on. A frame rate belongs to a device, which is in the name.
    """
    known = {"fps": "fps"} | {f"{metric}_source": metric for metric in ("psnr", "ssim", "lpips")}
    if x not in known or y not in known or rows.empty:
        return pd.DataFrame(columns=["name", "x", "y", "note"])
    keys = ["decoder", "dataset", "source"]
    first, second = (rows[rows["metric"] == known[axis]] for axis in (x, y))
    both = first.merge(second, on=keys, suffixes=("_x", "_y"))
    both = both[(both["device_x"] == both["device_y"]) | (both["device_x"] == "") | (both["device_y"] == "")]
    device = both["device_x"].where(both["device_x"] != "", both["device_y"])
    name = both["decoder"] + (", " + device).where(device != "", "")
    note = both["source"] + ", " + both["dataset"]
    return pd.DataFrame({"name": name, "x": both["value_x"], "y": both["value_y"], "note": note}).reset_index(drop=True)
