"""Train a small teacher on real video, store it with its record, and judge it on held-out clips.

  python -m bench pretrain                                 the recipe of the bundled teacher (conf/pretrain.yaml)
  python -m bench pretrain recipe.steps=500 out=quick      shorter, into the folder quick/
  python -m bench pretrain data=folder data.root=/path/to/videos out=mine
Use the result as any teacher: python -m bench run teacher.path=mine.
Interrupted, the same command goes on from its snapshot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench import schema
from bench.config import asked
from bench.data import ClipProtocol, open_clips
from bench.device import detect
from bench.pretrain import CropSettings, train_teacher
from flash_vaed.pretrain import PretrainRecipe


def main(argv: list[str]) -> int:
    config = asked("pretrain", __doc__, argv, schema.PretrainConfig)
    if config is None:
        return 0
    data, crops, protocol = config.data, config.crops, config.data.protocol
    torch.set_num_threads(detect("cpu", config.threads).facts["threads"])
    scores = train_teacher(
        recipe_of(config.recipe),
        CropSettings(crops.frames, crops.size, crops.batch, crops.max_stride),
        open_clips(data.source, data.root, data.train),
        open_clips(data.source, data.root, data.evaluate, data.max_clips),
        ClipProtocol(protocol.frames, protocol.size, protocol.stride, protocol.start),
        Path(config.out).expanduser(),
    )
    for name, psnr_db in scores.items():
        print(f"{name:<24} {psnr_db:6.2f} dB")
    print(f"{'mean of held-out clips':<24} {sum(scores.values()) / len(scores):6.2f} dB   stored in {config.out}")
    return 0


def recipe_of(conf: object) -> PretrainRecipe:
    """The library's frozen recipe from its fillable twin."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in vars(conf).items()
    }
    return PretrainRecipe(**values)
