"""The batches of a training, by number: crops of clips, of latents without video, or of both.

Everything about a crop follows from the seed of the run, the phase, the number of the batch and the place in it. So the
same batches come to a training that goes on, and to one that is shared by several processes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.cache import Artefact, Cache
from bench.data import CropSampler, LatentDump, UnreadableClip, open_clips
from bench.spec import PhaseChoice, RunSpec
from flash_vaed import Teacher
from flash_vaed.distill import Batch


class Lessons:
    """What `flash_vaed.distill.train_phase` asks for batches, for one phase of `spec`.

    teacher: on the device that trains. Latents of a pool of crops (`distill.pool`) are kept in the cache.
    """

    def __init__(self, spec: RunSpec, phase: PhaseChoice, teacher: Teacher, device: torch.device, cache: Cache) -> None:
        data, distill = spec.data, spec.distill
        self._spec, self._phase, self._teacher, self._device, self._cache = spec, phase.name, teacher, device, cache
        own = dict(phase.options).get("frames")
        self._lengths = distill.frames if own is None else (own,)
        clips = open_clips(data.source, data.root, data.train)
        self._clips = CropSampler(clips, max(self._lengths), distill.size, batch=1, seed=0)
        self._dump = LatentDump(distill.latents, teacher.decoder.latents.channels) if distill.latents else None

    def __call__(self, index: int, items: Sequence[int]) -> Batch:
        frames = self._lengths[self._draw("length", index) % len(self._lengths)]
        if self._dump is not None and self._draw("kind", index) % 10_000 < 10_000 * self._spec.distill.latent_share:
            return Batch(self._stacked([self._latents_alone(frames, index, item) for item in items]))
        seeds = [self._seed_of_crop(index, item) for item in items]
        if self._spec.distill.pool is not None:
            z = torch.cat([self._kept_latents(seed, frames) for seed in seeds])
            return Batch(z.to(self._device), lambda: self._videos(seeds, frames))
        x = self._videos(seeds, frames)
        return Batch(self._teacher.encode(x), lambda: x)

    @property
    def skipped(self) -> list[UnreadableClip]:
        """Clips and latent files that were put aside so far."""
        return [*self._clips.skipped, *(self._dump.skipped if self._dump is not None else [])]

    def _videos(self, seeds: Sequence[int], frames: int) -> Tensor:
        return self._stacked([self._clips.crop(seed, frames) for seed in seeds])

    def _latents_alone(self, frames: int, index: int, item: int) -> Tensor:
        assert self._dump is not None
        size = self._spec.distill.size
        latents, side, _ = self._teacher.decoder.spec.latent_shape(frames, size, size)
        return self._dump.crop(self._draw("latents", index, item), latents, side)

    def _kept_latents(self, seed: int, frames: int) -> Tensor:
        """The latents of one crop, from the cache if they were made before."""
        spec = self._spec
        key = {
            "teacher": spec.teacher.fingerprint, "clips": spec.data.train_fingerprint,
            "crop": [seed, frames, spec.distill.size],
        }  # fmt: skip

        def build() -> Artefact:
            return Artefact({"z": self._teacher.encode(self._videos([seed], frames))})

        return self._cache.fetch("latents", key, build).tensors["z"]

    def _seed_of_crop(self, index: int, item: int) -> int:
        pool = self._spec.distill.pool
        if pool is None:
            return self._draw("crop", index, item)
        number = (index * self._spec.distill.batch + item) % pool
        return _number(self._spec.seed, "pool", number)

    def _draw(self, what: str, *numbers: int) -> int:
        return _number(self._spec.seed, self._phase, what, *numbers)

    def _stacked(self, crops: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(crops)).to(self._device)


@functools.lru_cache(maxsize=4096)
def _number(*parts: int | str) -> int:
    """A whole number below 2^63 that follows from `parts` as if drawn by lot."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little") >> 1
