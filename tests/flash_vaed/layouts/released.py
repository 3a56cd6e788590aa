"""Checkpoints with the keys and shapes of released ones, and seeded weights: the same tensor for the same key."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parents[2] / "data" / "layouts"


def shapes(name: str) -> dict[str, list[int]]:
    """Every key of the released checkpoint `name` with its shape."""
    return json.loads((DATA / f"{name}.json").read_text())


def reference(name: str) -> tuple[Tensor, Tensor]:
    """Latents, and every fourth pixel of the frames the released program makes of them."""
    with np.load(DATA / f"{name}.npz") as stored:
        return torch.from_numpy(stored["z"]), torch.from_numpy(stored["out_every_4th"])


def checkpoint(name: str) -> dict[str, Tensor]:
    """Gains near 1, biases near 0, kernels of variance 1 / fan-in, deviations positive; the encoder is zero."""
    weights = {key: seeded(key, tuple(shape)) for key, shape in sorted(shapes(name).items())}
    return {key: value.abs() if key == "latents_std" else value for key, value in weights.items()}


def seeded(key: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor of a key: its name is the seed."""
    if key.startswith("encoder."):
        return torch.zeros(shape)
    random = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    noise = random.standard_normal(shape)
    if key.endswith("gamma") or ("norm" in key and key.endswith("weight")):
        value = 1 + 0.1 * noise
    elif key.endswith("bias"):
        value = 0.02 * noise
    else:
        value = noise / np.sqrt(max(int(np.prod(shape[1:])) if len(shape) > 1 else 1, 1))
    return torch.from_numpy(np.asarray(value, dtype=np.float32))
