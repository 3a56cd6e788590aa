"""Encode random crops of training clips and keep the latents alone, to train on where the video cannot go.

  python -m bench latents out=latents                      256 crops of the bundled clips
  python -m bench latents data=folder data.root=/videos teacher=wan21 count=5000 frames=81 size=256 out=latents
Train on them: python -m bench run task=distill distill.latents=latents. Interrupted, the same command goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

from bench import schema
from bench.config import asked
from bench.data import CropSampler, open_clips
from flash_vaed import load_teacher, save_latents


def main(argv: list[str]) -> int:
    config = asked("latents", __doc__, argv, schema.LatentsConfig)
    if config is None:
        return 0
    teacher, data, out = load_teacher(config.teacher.path), config.data, Path(config.out).expanduser()
    teacher.decoder.spec.latent_shape(config.frames, config.size, config.size)  # a size that does not fit is said here
    sampler = CropSampler(open_clips(data.source, data.root, data.train), config.frames, config.size, 1, 0)
    out.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(config.count), unit="clip", leave=False):
        path = out / f"{config.seed}-{number:06d}.safetensors"
        if not path.exists():
            save_latents(teacher.encode(sampler.crop(config.seed * 1_000_000 + number)[None]), path)
    for clip in sampler.skipped:
        print(f"left out clip {clip.name}: {clip.reason}", file=sys.stderr)
    print(f"{config.count} latents of {config.frames} x {config.size} x {config.size} in {out}")
    return 0
