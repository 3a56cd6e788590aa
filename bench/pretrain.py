"""The `pretrain` verb: train a small teacher on a clip set, score it on held-out video, store both with the record.

The folder gets the teacher (`decoder.*`, `encoder.*`) and `training.json`: recipe, data, curve, CPU time and held-out
PSNR.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from bench.data import ClipProtocol, ClipSet, CropSampler
from bench.metrics import make_metric
from flash_vaed import Teacher, save_teacher
from flash_vaed.pretrain import PretrainRecipe, Record, pretrain

CURVE_STRIDE = 25  # steps averaged into one stored point of the curve


@dataclass(frozen=True)
class CropSettings:
    """What one training batch is made of."""

    frames: int = 9
    size: int = 64
    batch: int = 2
    max_stride: int = 2


def train_teacher(
    recipe: PretrainRecipe,
    crops: CropSettings,
    train: ClipSet,
    heldout: ClipSet,
    protocol: ClipProtocol,
    folder: Path,
    dtype: torch.dtype = torch.float16,
) -> dict[str, float]:
    """Train, store and score; returns held-out PSNR in dB by clip. A killed run goes on from its last snapshot."""
    started = time.time()
    sampler = CropSampler(train, crops.frames, crops.size, crops.batch, recipe.seed, crops.max_stride)
    snapshot = folder / "snapshot.pt"
    with tqdm(total=recipe.steps, unit="step", mininterval=5) as bar:

        def show(step: int, values: dict[str, float]) -> None:
            bar.set_postfix(values, refresh=False)
            bar.update(step - bar.n)

        teacher, record = pretrain(sampler, recipe, snapshot, show)
    save_teacher(teacher, folder, dtype)
    scores = heldout_psnr(teacher, heldout, protocol)
    document = {
        "command": "python -m bench " + " ".join(sys.argv[1:]),
        "recipe": dataclasses.asdict(recipe),
        "crops": dataclasses.asdict(crops),
        "train_clips": train.names,
        "train_fingerprint": train.fingerprint,
        "skipped_clips": [dataclasses.asdict(clip) for clip in sampler.skipped],
        "heldout_protocol": dataclasses.asdict(protocol),
        "heldout_psnr_db": scores,
        "heldout_psnr_mean_db": sum(scores.values()) / len(scores),
        "cpu_minutes": round(record.cpu_s / 60, 1),
        "wall_minutes_last_start": round((time.time() - started) / 60, 1),
        "machine": {"cpu": platform.processor() or platform.machine(), "threads": torch.get_num_threads()},
        "torch": torch.__version__,
        "variance_kept_by_patch_analysis": record.variance_kept,
        "curve": thinned_curve(record),
    }
    (folder / "training.json").write_text(json.dumps(document, indent=1) + "\n")
    snapshot.unlink(missing_ok=True)
    return scores


def heldout_psnr(teacher: Teacher, clips: ClipSet, protocol: ClipProtocol) -> dict[str, float]:
    """Mean per-frame PSNR in dB of encode and decode, by clip, every clip under `protocol`."""
    psnr = make_metric("psnr")
    scores = {}
    for name in clips.names:
        x = clips.read(name, protocol)
        scores[name] = float(psnr(x, teacher.decoder.decode(teacher.encode(x[None]))[0]).mean())
    return scores


def thinned_curve(record: Record) -> list[dict[str, float]]:
    """Mean loss per `CURVE_STRIDE` steps, with the last step and rate of each stretch."""
    points = []
    for start in range(0, len(record.curve), CURVE_STRIDE):
        stretch = record.curve[start : start + CURVE_STRIDE]
        step, _, rate = stretch[-1]
        loss = sum(point[1] for point in stretch) / len(stretch)
        points.append({"step": step, "loss": round(loss, 5), "rate": round(rate, 4)})
    return points
