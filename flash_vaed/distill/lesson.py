"""What a phase learns from: latents, what the teacher makes of them, and their video where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.distill.precision import autocast, widened


@dataclass(frozen=True)
class Batch:
    """Raw latents (N, C, t, h, w), and a call for their video (N, 3, T, H, W) in [-1, 1]; None where there is none."""

    latents: Tensor
    source: Callable[[], Tensor] | None = None


# Items `items` of micro-batch number `index`: the same for the same arguments, whatever was asked for before. A process
# of several asks for its own items only; a training that goes on asks for the number it has come to.
Batches = Callable[[int, Sequence[int]], Batch]


def from_videos(encode: Callable[[Tensor], Tensor], videos: Iterator[Tensor]) -> Batches:
    """Batches of an endless iterator of (N, 3, T, H, W) in [-1, 1], one after the other: for one process that is never
    resumed. encode: video to raw latents, as `Teacher.encode`.
    """

    def draw(_index: int, _items: Sequence[int]) -> Batch:
        x = next(videos)
        return Batch(encode(x), lambda: x)

    return draw


class Lesson:
    """One batch as every phase needs it; what is costly is computed once, and only when it is asked for.

    precision: in which the teacher computes.
    """

    def __init__(self, teacher: Decoder, batch: Batch, precision: str = "float32") -> None:
        self._teacher, self._batch, self._precision = teacher, batch, precision

    @property
    def latents(self) -> Tensor:
        return self._batch.latents

    @cached_property
    def source(self) -> Tensor | None:
        """The video, None where only latents are known."""
        return None if self._batch.source is None else self._batch.source()

    @cached_property
    def features(self) -> dict[str, Tensor]:
        """The teacher's output of the entry, every stage and the head ("frames"), without gradients."""
        with torch.no_grad(), autocast(self.latents.device, self._precision):
            return {name: widened(x) for name, x in self._teacher.features(self.latents).items()}
