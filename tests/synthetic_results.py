"""Made-up results for tests: the rows a real run would store, with numbers chosen by the test."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import records

Run = tuple[dict[str, Any], list[dict[str, Any]]]

STAGES = ("mid", "up0", "up1", "up2", "up3")
PLANS = {
    "teacher": {},
    "dense": {"up2": (None, True), "up3": (None, True)},
    "paper": {**dict.fromkeys(STAGES[:3], ("depthwise3d", False)), **dict.fromkeys(STAGES[3:], ("conv2d", True))},
    "spatial2d": dict.fromkeys(STAGES[3:], ("conv2d", False)),
}


def make_spec(plan: str = "paper", ratio: float = 0.5, criterion: str = "independence",
              phases: Iterable[str] = ("joint",), study: str = "quickstart") -> dict[str, Any]:  # fmt: skip
    """The specification of one run, in the shape the runner stores."""
    edits = {stage: PLANS[plan].get(stage, (None, False)) for stage in STAGES}
    return {
        "study": study,
        "task": "reconstruct",
        "teacher": {"path": "bundled", "fingerprint": "t0"},
        "plan_name": plan,
        "plan": {stage: {"operator": operator, "prune": prune} for stage, (operator, prune) in edits.items()},
        "prune": {"ratio": ratio, "criterion": criterion, "scaling": "total", "calibration_clips": 4},
        "distill": {"phases": list(phases), "steps": 120},
        "data": {"source": "bundled", "evaluate": "heldout", "frames": 17, "size": 144},
        "metrics": {"psnr": "1", "ssim": "1"},
        "timing": {"frames": 17, "height": 96, "width": 96},
        "runtime": {"name": "eager", "dtype": "float32", "chunk": None},
        "seed": 0,
    }


def make_run(run_id: str = "run-1", *, speedup: float = 2.0, psnr: float = 28.0, label: str | None = None,
             study: str = "quickstart", device_id: str = "cpu-a", protocol_id: str = "p1", status: str = "ok",
             error: str | None = None, finished_at: str = "2026-01-01T00:00:10+00:00", samples: int = 8,
             metrics: bool = True, **spec: Any) -> Run:  # fmt: skip
    """A run whose student decodes `speedup` times as fast as a 0.4 s teacher, and `psnr` dB against source."""
    row = {
        "run_id": run_id, "study": study, "label": label or run_id, "status": status, "error": error,
        "started_at": "2026-01-01T00:00:00+00:00", "finished_at": finished_at, "wall_s": 10.0,
        "protocol_id": protocol_id, "spec_json": json.dumps(make_spec(study=study, **spec)),
        "command": "python -m bench run", "device_id": device_id, "device_name": f"Device {device_id}",
        "device_json": "{}", "git_sha": "unknown", "git_dirty": None, "packages_json": "{}", "warnings_json": "[]",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    if status == "ok":
        rows += timing_rows(run_id, 0.4, 0.4 / speedup, samples)
        rows += cost_rows(run_id, speedup)
    if status == "ok" and metrics:
        rows += quality_rows(run_id, "psnr", "dB", psnr, psnr + 4.0, teacher=30.0)
        rows += quality_rows(run_id, "ssim", "", psnr / 40, psnr / 36, teacher=0.9)
        rows += quality_rows(run_id, "sharpness", "ratio", 0.8, 0.85, teacher=0.95)
        rows.append(records.measurement(run_id, "student", "lpips", None, unit="", higher_is_better=False,
                                        against="source", note="no AlexNet weights; run: fetch them"))  # fmt: skip
    return row, rows


def timing_rows(run_id: str, teacher_s: float, student_s: float, samples: int) -> list[dict[str, Any]]:
    """Interleaved decode times: a slow drift that both arms share, a jitter that they do not."""
    rows = []
    for repeat in range(samples):
        drift = 1.0 + 0.1 * (repeat // 2) / max(samples, 1)
        for arm, seconds, jitter in (("teacher", teacher_s, 0.02 * (repeat * 3 % 5 - 2)),
                                     ("student", student_s, 0.03 * (repeat * 7 % 5 - 2))):  # fmt: skip
            value = seconds * drift * (1 + jitter)
            rows.append(records.measurement(run_id, arm, "decode_time_s", value, unit="s",
                                            higher_is_better=False, repeat=repeat))  # fmt: skip
    return rows


def cost_rows(run_id: str, speedup: float) -> list[dict[str, Any]]:
    """Parameters, MACs and memory of both arms, and one per-stage row that a summary must not mistake for the whole."""
    costs = (("parameters", "", 2e6), ("macs_per_frame", "MAC", 8e9), ("peak_memory_bytes", "byte", 4e8))
    rows = [
        records.measurement(run_id, arm, metric, value / divisor, unit=unit, higher_is_better=False)
        for metric, unit, value in costs
        for arm, divisor in (("teacher", 1.0), ("student", speedup))
    ]
    return [
        *rows,
        records.measurement(run_id, "student", "parameters", 7, unit="", higher_is_better=False, stage="mid"),
    ]


def quality_rows(run_id: str, metric: str, unit: str, source: float, against_teacher: float,
                 teacher: float) -> list[dict[str, Any]]:  # fmt: skip
    """Two clips of three frames whose mean is the number asked for."""
    rows = []
    for arm, against, mean in (("student", "source", source), ("student", "teacher", against_teacher),
                               ("teacher", "source", teacher)):  # fmt: skip
        for clip, shift in (("bikes", -1.0), ("bunny", 1.0)):
            for frame in range(3):
                value = mean * (1 + 0.01 * shift) + 0.001 * (frame - 1)
                rows.append(records.measurement(run_id, arm, metric, value, unit=unit, higher_is_better=True,
                                                against=against, clip=clip, frame=frame))  # fmt: skip
    return rows


def store(folder: Path, *runs: Run) -> Path:
    """Write runs as the runner does; returns the results folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for row, rows in runs:
        records.write_run(folder, row, rows)
    return folder


def quickstart(folder: Path) -> Path:
    """A small study: a control, two families over ratios, one ablation, one failure."""
    return store(
        folder,
        make_run("r00", label="teacher", plan="teacher", ratio=1.0, phases=(), speedup=1.0, psnr=30.0),
        make_run("r01", label="paper 1/1", plan="paper", ratio=1.0, speedup=2.6, psnr=29.4),
        make_run("r02", label="paper 1/2", plan="paper", ratio=0.5, speedup=3.6, psnr=28.6),
        make_run("r03", label="paper 1/4", plan="paper", ratio=0.25, speedup=4.4, psnr=27.1),
        make_run("r04", label="paper 1/8", plan="paper", ratio=0.125, speedup=5.0, psnr=25.2),
        make_run("r05", label="dense 1/2", plan="dense", ratio=0.5, speedup=2.2, psnr=29.7),
        make_run("r06", label="dense 1/4", plan="dense", ratio=0.25, speedup=3.1, psnr=28.0),
        make_run("r07", label="dense 1/8", plan="dense", ratio=0.125, speedup=3.5, psnr=26.3),
        make_run("r08", label="2D only", plan="spatial2d", ratio=1.0, speedup=1.7, psnr=29.8),
        make_run("r09", label="paper 1/4 random", ratio=0.25, criterion="random", speedup=4.4, psnr=25.9),
        make_run("r10", label="paper 1/4 refit only", ratio=0.25, phases=(), speedup=4.4, psnr=22.4),
        make_run(
            "r11", label="dense 1/16", plan="dense", ratio=0.0625, status="oom", error="out of memory, 2.1 GB asked"
        ),
    )


def trained_run(run_id: str, **more: Any) -> Run:
    """A run with training curves of two phases: losses, PSNR and weights of the stages."""
    row, rows = make_run(run_id, phases=("align", "joint"), **more)
    spec = json.loads(row["spec_json"])
    row["spec_json"] = json.dumps(spec | {"task": "distill"})
    points = [("loss_align", "mid", 0, 0.5), ("loss_align", "mid", 10, 0.2)]
    for step in (20, 40, 60):
        points += [("loss_joint", "pixels", step, 1 / step), ("training_joint", "psnr", step, 20 + step / 10)]
        points += [("training_joint", f"weight of {stage}", step, 0.2) for stage in STAGES]
    rows += [
        records.measurement(run_id, "student", metric, value, unit="1", higher_is_better=False, stage=term, repeat=step)
        for metric, term, step, value in points
    ]
    return row, rows


def comparison(run_id: str, study: str = "speed") -> Run:
    """A run of the speed task: a teacher and an arm that is four times as fast."""
    row, _ = make_run(run_id, study=study, label="wan")
    arms = {
        "teacher": {"decoder": "wan2.1", "program": "diffusers", "runtime": {"name": "eager", "dtype": "float32"}},
        "fast": {"decoder": "student-x", "program": "ours", "runtime": {"name": "fast", "dtype": "bfloat16"}},
    }
    spec = {"task": "speed", "study": study, "baseline": "teacher", "arms": arms, "timing": {"frames": 9}}
    rows = []
    for arm, seconds in (("teacher", 0.4), ("fast", 0.1)):
        rows += [
            records.measurement(run_id, arm, "decode_time_s", seconds * (1 + 0.001 * n), unit="s",
                                higher_is_better=False, repeat=n)
            for n in range(6)
        ]  # fmt: skip
        costs = {"accepted": 1.0, "parameters": 1e6, "macs_per_frame": 1e9, "min_bytes_per_frame": 1e6,
                 "peak_memory_bytes": 1e8}  # fmt: skip
        for metric, value in costs.items():
            rows.append(records.measurement(run_id, arm, metric, value, unit="1", higher_is_better=False))
        for frame in range(3):
            rows.append(records.measurement(run_id, arm, "psnr", 60.0, unit="dB", higher_is_better=True,
                                            against="float32", clip="bikes", frame=frame))  # fmt: skip
    rows.append(records.measurement(run_id, "machine", "copy_bytes", 1e10, unit="byte/s", higher_is_better=True))
    return row | {"spec_json": json.dumps(spec)}, rows


def generation(run_id: str, study: str = "end_to_end") -> Run:
    """A run of the generate task: the teacher decodes for 4 of 10 s, the student for 1."""
    row, _ = make_run(run_id, study=study, label="made up")
    spec = {"task": "generate", "study": study, "baseline": "teacher", "arms": {"student": {}, "teacher": {}},
            "host": {"name": "made-up host", "frames": 17}}  # fmt: skip
    rows = []
    for arm, decode_s in (("teacher", 4.0), ("student", 1.0)):
        for repeat in range(4):
            parts = {"text_s": 0.5, "denoise_s": 5.0, "decode_s": decode_s, "write_s": 0.5}
            parts["end_to_end_s"] = sum(parts.values())
            rows += [
                records.measurement(run_id, arm, metric, value * (1 + 0.001 * repeat), unit="s",
                                    higher_is_better=False, repeat=repeat)
                for metric, value in parts.items()
            ]  # fmt: skip
    return row | {"spec_json": json.dumps(spec)}, rows


def scored(run_id: str) -> Run:
    """VBench-2.0's values of four videos: 0.8 for the teacher, 0.7 for the student, and a little more for each next."""
    row, _ = make_run(run_id, study="vbench2", label="made up")
    dimensions = ("Human_Anatomy", "Camera_Motion", "Composition")
    told = {"categories": {"All": dimensions}, "control": "teacher", "complete": False, "videos": "g"}
    spec = {"task": "vbench2", "study": "vbench2", "vbench2": told}
    rows = [
        records.measurement(run_id, arm, f"vbench2_{dimension}", score + 0.01 * video, unit="1",
                            higher_is_better=True, clip=f"prompt {video}-0.mp4")
        for arm, score in (("teacher", 0.8), ("student", 0.7)) for dimension in dimensions for video in range(4)
    ]  # fmt: skip
    return row | {"spec_json": json.dumps(spec)}, rows
