"""Made-up results by the thousand: packed files of realistic rows, to prove that readers stay fast.

python -m tests.many_results FOLDER [--runs 10000] [--rows-per-run 200]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import records
from tests.synthetic_results import PLANS, make_spec

CLIPS = tuple(f"clip {n:02d}" for n in range(6))
OPERATORS = ("depthwise3d", "conv2d", "conv2plus1d", "grouped3d")
SAMPLES = 8  # of each timing


def many_results(folder: Path, runs: int = 10_000, rows_per_run: int = 200, seed: int = 0) -> Path:
    """Write `runs` runs of `rows_per_run` measurements each (at least 40) as packed files; returns the folder.

    Runs are of five studies, two devices, four plans, eight ratios and five seeds; one in fifty failed. Numbers are
    drawn, so that faster runs are worse on average; they mean nothing.
    """
    draw = np.random.default_rng(seed)
    ids = np.array([f"run-{n:06d}" for n in range(runs)])
    speedup = np.round(np.exp(draw.uniform(0, 2.3, runs)), 4)
    psnr = 34 - 3.2 * np.log(speedup) + draw.normal(0, 0.8, runs)
    failed = np.arange(runs) % 50 == 49
    records.write_pack(folder, _runs(ids, failed), _measurements(ids[~failed], speedup[~failed], psnr[~failed],
                                                                 rows_per_run, draw))  # fmt: skip
    return folder


def _runs(ids: np.ndarray, failed: np.ndarray) -> pa.Table:
    plans, rows = list(PLANS), []
    for n, (run_id, broken) in enumerate(zip(ids, failed, strict=True)):
        plan, seed, ratio, study = plans[n % 4], n // 4 % 5, 1 / (1 + n // 20 % 8), f"study_{n // 160 % 5}"
        spec = make_spec(plan=plan, ratio=ratio, study=study) | {"seed": seed, "task": "reconstruct"}
        rows.append({
            "run_id": str(run_id), "schema_version": records.SCHEMA_VERSION, "study": study,
            "label": f"{plan}-{ratio:.3f}-{n // 800} seed={seed}", "status": "oom" if broken else "ok",
            "error": "out of memory, 2.1 GB asked" if broken else None,
            "started_at": f"2026-01-{1 + n % 28:02d}T00:00:00+00:00", "finished_at": "2026-02-01T00:00:00+00:00",
            "wall_s": 10.0, "protocol_id": "p1", "spec_json": json.dumps(spec), "command": "python -m bench run",
            "device_id": "gpu-b" if n % 10 == 9 else "cpu-a",
            "device_name": "Device B" if n % 10 == 9 else "Device A",
            "device_json": "{}", "git_sha": "unknown", "git_dirty": None, "packages_json": "{}", "warnings_json": "[]",
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=records.RUNS)


def _measurements(ids: np.ndarray, speedup: np.ndarray, psnr: np.ndarray, rows_per_run: int,
                  draw: np.random.Generator) -> pa.Table:  # fmt: skip
    """The same rows for every run: timings and costs of two arms, then quality per frame until it has enough."""
    template = [("decode_time_s", arm, None, None, repeat, None)
                for arm in ("student", "teacher") for repeat in range(SAMPLES)]  # fmt: skip
    for metric in ("parameters", "macs_per_frame", "peak_memory_bytes"):
        template += [(metric, arm, None, None, None, None) for arm in ("student", "teacher")]
    quality = [(metric, arm, clip, frame, None, against)
               for frame in range(-(-rows_per_run // 24)) for clip in CLIPS for metric in ("psnr", "ssim")
               for arm, against in (("student", "source"), ("teacher", "source"))]  # fmt: skip
    template += quality[: max(rows_per_run - len(template), 0)]
    means = {"decode_time_s": 0.4, "parameters": 2e6, "macs_per_frame": 8e9, "peak_memory_bytes": 4e8}
    values = np.empty((len(ids), len(template)))
    for column, (metric, arm, *_) in enumerate(template):
        student = arm == "student"
        if metric in means:
            values[:, column] = means[metric] / (speedup if student else 1.0)
        else:
            scale = 1.0 if metric == "psnr" else 1 / 40
            values[:, column] = (psnr if student else 34.0) * scale
    values *= draw.normal(1, 0.01, values.shape)
    units = {"decode_time_s": "s", "psnr": "dB", "macs_per_frame": "MAC/frame", "peak_memory_bytes": "byte"}
    names = ("metric", "arm", "clip", "frame", "repeat", "against")
    columns = {name: [row[at] for row in template] for at, name in enumerate(names)}
    columns |= {
        "metric_version": ["1"] * len(template),
        "unit": [units.get(row[0], "1") for row in template],
        "higher_is_better": [row[0] in ("psnr", "ssim") for row in template],
        "stage": [None] * len(template), "note": [None] * len(template),
    }  # fmt: skip
    repeated = {
        name: pa.chunked_array([pa.array(column, type=records.MEASUREMENTS.field(name).type)] * len(ids))
        for name, column in columns.items()
    }
    repeated["run_id"] = pa.chunked_array([pa.array(np.repeat(ids, len(template)))])
    repeated["value"] = pa.chunked_array([pa.array(values.reshape(-1))])
    table = pa.table({name: repeated[name] for name in records.MEASUREMENTS.names})
    return table.combine_chunks().cast(records.MEASUREMENTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rows-per-run", type=int, default=200)
    given = parser.parse_args()
    print(many_results(given.folder, given.runs, given.rows_per_run))
