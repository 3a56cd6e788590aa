"""A teacher whose video is its own output, so that every phase, whatever its target, aims at the same frames."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from flash_vaed import Compressed, CompressionPlan, Decoder, StageEdit, Teacher, compress
from flash_vaed.spec import FrozenMapping
from tests.flash_vaed.examples import random_decoder, random_latents, tiny_spec


class OwnVideo:
    """Batches of what `decoder` makes of random latents, and the encoder that knows those latents."""

    def __init__(self, decoder: Decoder, seed: int = 0) -> None:
        self._decoder, self._generator = decoder, torch.Generator().manual_seed(seed)
        self._latents = torch.empty(0)

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        self._latents = torch.randn(2, 4, 2, 2, 2, generator=self._generator)
        return self._decoder.decode(self._latents)

    def encode(self, _x_NCTHW: Tensor) -> Tensor:
        return self._latents


def own_teacher(seed: int = 0) -> tuple[Teacher, OwnVideo]:
    """A small random decoder as the teacher of its own video."""
    decoder = random_decoder(tiny_spec(4))
    decoder.head.conv.weight.mul_(0.3)  # frames that stay inside [-1, 1]
    video = OwnVideo(decoder, seed)
    return Teacher("own", decoder, video.encode), video


def small_student(
    teacher: Teacher, edits: dict[str, StageEdit] | None = None, ratio: float = 0.5, start: str = "fold"
) -> Compressed:
    """A student of the last two stages, per frame and half as wide unless told otherwise, merely sliced."""
    chosen = edits or {"up2": StageEdit("conv2d", True), "up3": StageEdit("conv2d", True)}
    latents = [random_latents(3, 3, 3, seed=50)]
    return compress(teacher.decoder, CompressionPlan(FrozenMapping(chosen), ratio, start=start), latents)
