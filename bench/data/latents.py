"""Latents without video: what a generator left on disk, as training data.

A file or a folder of `.pt`, `.pth`, `.safetensors`, `.npy` or `.npz`, each (C, t, h, w) or (N, C, t, h, w), raw. One
that cannot be used is put aside with its reason, and named in the run's record.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from bench.data.clips import UnreadableClip
from bench.data.sampler import below
from flash_vaed.latent_files import read_latents
from flash_vaed.tensors import CheckpointError

SUFFIXES = (".pt", ".pth", ".safetensors", ".npy", ".npz")
KEPT_BYTES = 2 << 30  # of latents that were read before


class LatentDump:
    """The latent files at `path`, by name; a `ValueError` where there is none.

    `fingerprint` (sha256) depends on names and sizes. channels: of the teacher's latent space; other files are put
    aside.
    """

    def __init__(self, path: str | Path, channels: int) -> None:
        root = Path(path).expanduser()
        if root.is_file():
            self._files = {root.name: root}
        else:
            found = sorted(file for file in root.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            self._files = {str(file.relative_to(root)): file for file in found}
        if not self._files:
            raise ValueError(f"no latents at {root}: a file or folder of {', '.join(SUFFIXES)} is needed")
        self.channels = channels
        self.skipped: list[UnreadableClip] = []
        self._unusable: set[tuple[str, int, int]] = set()
        self._kept: dict[str, Tensor] = {}

    @property
    def fingerprint(self) -> str:
        """sha256 over the ordered names and sizes."""
        listing = [[name, file.stat().st_size] for name, file in self._files.items()]
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()

    def crop(self, seed: int, latents: int, side: int) -> Tensor:
        """The crop (C, latents, side, side) of this seed. It begins with the first latent of its clip, which decodes to
        one frame and not to several; shorter or smaller ones are put aside.
        """
        generator, names = torch.Generator().manual_seed(seed), list(self._files)
        while any((name, latents, side) not in self._unusable for name in names):
            name = names[below(generator, len(names))]
            if (name, latents, side) in self._unusable:
                continue
            try:
                z = self._read(name, latents, side)
            except (CheckpointError, ValueError) as error:
                self._unusable.add((name, latents, side))
                if name not in {file.name for file in self.skipped}:
                    self.skipped.append(UnreadableClip(name, " ".join(str(error).split())))
                continue
            n, _, _, height, width = z.shape
            item, top, left = (below(generator, count) for count in (n, height - side + 1, width - side + 1))
            return z[item, :, :latents, top : top + side, left : left + side].float().contiguous()
        reasons = "; ".join(f"{file.name} {file.reason}" for file in self.skipped[:3])
        raise ValueError(f"no latents can be used for training: {reasons}")

    def _read(self, name: str, latents: int, side: int) -> Tensor:
        if name not in self._kept:
            z = read_latents(self._files[name])
            if sum(kept.nbytes for kept in self._kept.values()) + z.nbytes > KEPT_BYTES:
                self._kept.clear()
            self._kept[name] = z
        z = self._kept[name]
        needed = (self.channels, latents, side, side)
        if z.shape[1] != self.channels or any(has < asked for has, asked in zip(z.shape[2:], needed[1:], strict=True)):
            raise ValueError(f"is {tuple(z.shape[1:])}, training needs at least {needed}")
        return z
