"""A teacher whose video is its own output, so that every phase, whatever its target, aims at the same frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flash_vaed import Compressed, CompressionPlan, Decoder, StageEdit, compress
from flash_vaed.distill import Batch, Lesson
from flash_vaed.spec import FrozenMapping
from tests.flash_vaed.examples import random_decoder, random_latents, tiny_spec


class OwnVideo:
    """Batches by number: random latents, and what `decoder` makes of them as their video."""

    def __init__(self, decoder: Decoder, seed: int = 0, frames_known: bool = True) -> None:
        self._decoder, self._seed, self._frames_known = decoder, seed, frames_known

    def __call__(self, index: int, items: Sequence[int]) -> Batch:
        z = torch.cat([self._latents(index, item) for item in items]).to(next(self._decoder.parameters()).dtype)
        return Batch(z, (lambda: self._decoder.decode(z, expect=None)) if self._frames_known else None)

    def _latents(self, index: int, item: int) -> Tensor:
        generator = torch.Generator().manual_seed(10_000 * self._seed + 100 * index + item)
        return torch.randn(1, 4, 2, 2, 2, generator=generator)


def own_teacher() -> Decoder:
    """A small random decoder that is to be the teacher of its own video."""
    decoder = random_decoder(tiny_spec(4))
    decoder.head.conv.weight.mul_(0.3)  # frames that stay inside [-1, 1]
    return decoder


def one_lesson(teacher: Decoder) -> Lesson:
    return Lesson(teacher, OwnVideo(teacher)(0, range(2)))


def small_student(
    teacher: Decoder, edits: dict[str, StageEdit] | None = None, ratio: float = 0.5, start: str = "fold"
) -> Compressed:
    """A student of the last two stages, per frame and half as wide unless told otherwise, merely sliced."""
    chosen = edits or {"up2": StageEdit("conv2d", True), "up3": StageEdit("conv2d", True)}
    latents = [random_latents(3, 3, 3, seed=50)]
    return compress(teacher, CompressionPlan(FrozenMapping(chosen), ratio, start=start), latents)
