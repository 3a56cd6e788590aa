"""Specs and requests that several tests start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.job import Places
from bench.spec import Arm, Data, Distill, PhaseChoice, Prune, RunSpec, Runtime, StageChange, TeacherRef, Timing
from bench.sweep import RunRequest

SPEC = RunSpec(
    study="s", task="reconstruct", teacher=TeacherRef("bundled", "f00"), plan_name="paper",
    plan=(StageChange("mid", "depthwise3d", False), StageChange("up3", "conv2d", True)),
    prune=Prune(0.25, "independence", "total", "output", "stage", "regression", 4, 17, 96),
    distill=Distill((PhaseChoice("align", 100, (("motion", 0.1),)),)),
    data=Data("bundled", None, "train", "heldout", None, 17, 144, 1, 0, "aaa", "bbb"),
    metrics=(("psnr", "1"), ("ssim", "1")), timing=Timing(17, 96, 96, 0.5, 3, 20, 5.0),
    runtime=Runtime("eager", "float32", None, True, ("values",)), seed=0,
    arms=(Arm("a", "wan2.1", "ours", Runtime("eager", "float32", None, True)),),
)  # fmt: skip


def request(folder: Path, seed: int = 0, timeout_s: float = 60.0, again: bool = False) -> RunRequest:
    """A run that stores into `folder`; another seed is another run."""
    return RunRequest(
        label=f"seed {seed}", spec=replace(SPEC, seed=seed), command=f"python -m bench run seed={seed}",
        results=str(folder / "results"), places=Places(str(folder / "cache")), logs=str(folder / "logs"),
        timeout_s=timeout_s, device="cpu", threads=None, again=again,
    )  # fmt: skip
