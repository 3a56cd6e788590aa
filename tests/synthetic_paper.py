"""Made-up results for every figure of the paper, with numbers that a test can work out by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import records
from tests.synthetic_results import Run, make_run, store

DIMENSIONS = ("Human_Identity", "Multi-View_Consistency", "Dynamic_Spatial_Relationship", "Material", "Diversity")
STAGE_MS = {"entry": 2.0, "mid": 10.0, "up1": 40.0, "head": 8.0}
LEVERS: dict[str, dict[str, Any]] = {  # arm -> what its runtime asks for
    "eager": {},
    "subpixel": {"rewrites": ["subpixel"]},
    "compiled": {"compile": "default"},
    "rewrites": {"rewrites": ["subpixel", "values"]},
    "fast": {"rewrites": ["subpixel", "values"], "compile": "default", "dtype": "bfloat16"},
}
LEVER_SECONDS = {"eager": 0.4, "subpixel": 0.36, "compiled": 0.44, "rewrites": 0.32, "fast": 0.16}


def row_of(run_id: str, arm: str, metric: str, value: float, **more: Any) -> dict[str, Any]:
    """One measurement; its unit does not matter here."""
    return records.measurement(run_id, arm, metric, value, **{"unit": "1", "higher_is_better": False, **more})


def with_spec(run: Run, **spec: Any) -> dict[str, Any]:
    """The runs row with these entries of its specification replaced."""
    return {**run[0], "spec_json": json.dumps({**json.loads(run[0]["spec_json"]), **spec})}


def arms_run(run_id: str, study: str, arms: Mapping[str, Any], seconds: Mapping[str, float],
             decoders: Mapping[str, str], timing: Mapping[str, int] | None = None) -> Run:  # fmt: skip
    """A run of the speed task: four samples per arm, the same in each, so that every interval is a point."""
    run = make_run(run_id, study=study, label="all")
    asked = {arm: {"decoder": decoders[arm], "runtime": {"dtype": "float32", **arms[arm]}} for arm in arms}
    timing = {"frames": 10, "height": 64, "width": 64, **(timing or {})}
    row = with_spec(run, task="speed", arms=asked, baseline=next(iter(arms)), timing=timing)
    rows = [
        row_of(run_id, arm, "decode_time_s", seconds[arm], repeat=repeat) for arm in arms for repeat in range(4)
    ] + [row_of(run_id, arm, "peak_memory_bytes", 1e8 * (1 + place)) for place, arm in enumerate(arms)]
    return row, [*rows, *(row_of(run_id, arm, "accepted", float(arm != "compiled")) for arm in arms)]


def stages_run(run_id: str, study: str) -> Run:
    """A teacher and a student ten times as fast, half of every stage in convolutions; 1 GMAC and 1 MB per frame."""
    run = make_run(run_id, study=study, label="all")
    arms = {"teacher": ("wan2.1", 1.0), "flash-vaed": ("flash-vaed-wan2.1", 0.1)}
    asked = {arm: {"decoder": decoder, "runtime": {"dtype": "float32"}} for arm, (decoder, _) in arms.items()}
    row = with_spec(
        run, task="stages", arms=asked, baseline="teacher", timing={"frames": 10, "height": 64, "width": 64}
    )
    rows = [row_of(run_id, "machine", "matmul_flops_float32", 1e12), row_of(run_id, "machine", "copy_bytes", 1e9)]
    for arm, (_, factor) in arms.items():
        for stage, milliseconds in STAGE_MS.items():
            seconds = factor * milliseconds / 1e3
            rows += [
                row_of(run_id, arm, "stage_time_s", seconds, stage=stage, repeat=0),
                row_of(run_id, arm, "convolution_time_s", seconds / 2, stage=stage, repeat=0),
                row_of(run_id, arm, "macs_per_frame", 1e9 * factor, stage=stage),
                row_of(run_id, arm, "min_bytes_per_frame", 1e6, stage=stage),
            ]
    return row, rows


def trained(run_id: str, study: str, untrained: float, psnr: float, *, edits: Mapping[str, Any] | None = None,
            prune: Mapping[str, Any] | None = None, seed: int = 0, **more: Any) -> Run:  # fmt: skip
    """A run whose student had `untrained` dB to the teacher before and `psnr` after training, 4 less to the source."""
    run = make_run(run_id, study=study, psnr=psnr - 4.0, **more)
    spec = json.loads(run[0]["spec_json"])
    row = with_spec(
        run, seed=seed, prune={**spec["prune"], "weighting": "output", "subsets": "stage", **(prune or {})},
        plan={**spec["plan"], **(edits or {})},
    )  # fmt: skip
    before = row_of(run_id, "student", "psnr_untrained", untrained, against="teacher", clip="bikes", frame=0)
    return row, [*run[1], before]


def generation(run_id: str, host: str, decode_s: Mapping[str, float]) -> Run:
    """One host: 1 s of text, 5 s of denoising, 0.5 s of writing, and each decoder's seconds; three repeats."""
    run = make_run(run_id, study="end_to_end", label=host)
    row = with_spec(run, task="generate", baseline=next(iter(decode_s)), arms={arm: {} for arm in decode_s},
                    host={"name": host, "frames": 81})  # fmt: skip
    rows = []
    for arm, decode in decode_s.items():
        parts = {"text_s": 1.0, "denoise_s": 5.0, "decode_s": decode, "write_s": 0.5, "end_to_end_s": 6.5 + decode}
        for repeat in range(3):
            rows += [
                row_of(run_id, arm, name, s * (1 + 0.1 * (repeat - 1)), repeat=repeat) for name, s in parts.items()
            ]
    return row, rows


def judged(run_id: str = "vb") -> Run:
    """VBench-2.0 scores of two videos: 0.4 and 0.6 for the teacher, 0.1 less for the student."""
    run = make_run(run_id, study="vbench2", label="all")
    rows = [
        row_of(run_id, arm, f"vbench2_{name}", score - less, clip=f"v{place}-0.mp4", higher_is_better=True)
        for name in DIMENSIONS
        for arm, less in (("wan2.1", 0.0), ("flash-vaed-wan2.1", 0.1))
        for place, score in enumerate((0.4, 0.6))
    ]
    told = {"categories": {"All": list(DIMENSIONS)}, "control": None, "complete": False}
    return with_spec(run, task="vbench2", vbench2=told), rows


def redundancy_run(run_id: str = "rd") -> Run:
    """Two sites of eight channels: the bound rebuilds k/8 + 0.1, ranking by independence k/8, lots half of that."""
    run = make_run(run_id, study="redundancy", label="all")
    rows = [
        row_of(run_id, arm, "r2_of_width", value(k / 8), stage=site, repeat=k)
        for site in ("up2.stream", "up3.stream")
        for arm, value in (("pca", lambda x: min(1.0, x + 0.1)), ("independence, none", lambda x: x),
                           ("random, seed 0", lambda x: x / 2), ("random, seed 1", lambda x: x / 2))
        for k in range(1, 9)
    ]  # fmt: skip
    return with_spec(run, task="redundancy"), rows


def all_runs() -> list[Run]:
    """At least one run for every figure that reads stored rows."""
    swap = {"operator": "conv2d", "prune": False, "channels": None}
    kept = {stage: {"operator": None, "prune": False} for stage in ("mid", "up0", "up1", "up2", "up3")}
    wan = {"teacher": "wan2.1", "flash-vaed": "flash-vaed-wan2.1"}
    return [
        make_run("q0", label="paper-1/2", ratio=0.5, speedup=4.0, psnr=28.0, phases=("align", "joint", "refine")),
        make_run("q1", label="dense-1/2", plan="dense", ratio=0.5, speedup=2.0, psnr=29.0),
        arms_run("lv", "runtime_levers", LEVERS, LEVER_SECONDS, dict.fromkeys(LEVERS, "flash-vaed-wan2.1")),
        arms_run("pe", "peers", {"teacher": {}, "flash-vaed": {}}, {"teacher": 1.0, "flash-vaed": 0.1}, wan),
        *(
            arms_run(f"sc{place}", "scaling", {"whole": {}, "chunk-1": {"chunk": 1}}, {"whole": s, "chunk-1": 2 * s},
                     dict.fromkeys(("whole", "chunk-1"), "flash-vaed-wan2.1"), geometry)
            for place,
            (s, geometry) in enumerate([(0.1, {}), (0.2, {"frames": 20}), (0.4, {"height": 128, "width": 128})])
        ),
        stages_run("st", "stage_latency"),
        stages_run("ro", "roofline"),
        *(
            trained(f"ra{place}", "pruning_ratio", 30.0 - place, 32.0 - place, prune={"ratio": 0.5**place})
            for place in range(4)
        ),
        *(
            trained(f"cr{seed}", "pruning_criterion", 20.0 + seed, 24.0 + seed, seed=seed,
                    prune={"ratio": 0.5, "criterion": "random"})
            for seed in range(3)
        ),
        trained("cr3", "pruning_criterion", 28.0, 30.0, prune={"ratio": 0.5}),
        trained("op0", "stage_operator", 40.0, 38.0, edits={**kept, "up1": swap}),
        trained("op1", "stage_operator", 35.0, 36.0, edits={**kept, "up3": {**swap, "operator": "depthwise3d"}}),
        trained("op2", "stage_operator", 30.0, 31.0),
        *(
            trained(f"ph{seed}", "distill_phases", 25.0, 30.0 + seed, seed=seed, phases=("align", "joint"))
            for seed in range(3)
        ),
        trained("ph3", "distill_phases", 25.0, 25.0, phases=()),
        generation("e0", "Self-Forcing", {"wan2.1": 3.5, "flash-vaed-wan2.1": 1.0}),
        judged(),
        redundancy_run(),
    ]  # fmt: skip


def everything(folder: Path) -> Path:
    """A results folder with all of it, and with the printed numbers of this repository."""
    store(folder, *all_runs())
    shutil.copytree(Path(__file__).parents[1] / "results" / "published", folder / "published")
    return folder
