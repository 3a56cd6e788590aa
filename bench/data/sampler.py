"""Random crops from a clip set for training: an endless, resumable row of batches, or any crop by its number.

Every crop draws a clip (by its weight), a frame stride, a time window, a scale, a place and a flip, all from one
`torch.Generator`: the row has one for all, a numbered crop one of its own. Clips are decoded once, on first use, and
kept as uint8 while they fit in the memory budget.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data.clips import ClipError, ClipSet, UnreadableClip
from bench.data.protocol import to_unit_range

SMALLEST_SCALE = 0.5
MEMORY_BUDGET_BYTES = 4 << 30


class CropSampler:
    """An endless iterator of float32 batches `x_NCTHW` in [-1, 1] of shape (batch, 3, frames, size, size).

    The frame is thought of as shrunk by a random factor between 0.5 and 1 (never below `size`), then a `size` square
    is cut out; frames are `1..max_stride` apart. Half of the crops are mirrored left to right. A clip that cannot be
    read, or is shorter than `frames`, goes to `skipped` with its reason and is not drawn again; if none is left,
    `ValueError`.
    """

    def __init__(
        self,
        clips: ClipSet,
        frames: int,
        size: int,
        batch: int,
        seed: int,
        max_stride: int = 2,
        memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    ) -> None:
        for value, label in ((frames, "frames"), (size, "size"), (batch, "batch"), (max_stride, "max_stride")):
            if value < 1:
                raise ValueError(f"{label} must be at least 1, got {value}")
        self.clips, self.frames, self.size, self.batch, self.max_stride = clips, frames, size, batch, max_stride
        self.skipped: list[UnreadableClip] = []
        self._names, self._weights = clips.names, torch.tensor(clips.weights, dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(seed)
        self._unusable: set[tuple[str, int]] = set()  # name, and the length that was asked for
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._kept_bytes, self._budget_bytes = 0, memory_budget_bytes

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        return torch.stack([self._crop(self._generator, self.frames) for _ in range(self.batch)])

    def crop(self, seed: int, frames: int | None = None) -> Tensor:
        """The crop `x_CTHW` of this seed, whatever was drawn before. frames: another length than the sampler's."""
        return self._crop(torch.Generator().manual_seed(seed), frames or self.frames)

    def state_dict(self) -> dict[str, Any]:
        """Where the sequence of batches stands; loading it into a sampler built alike continues the sequence."""
        return {
            "fingerprint": self.clips.fingerprint,
            "generator": self._generator.get_state(),
            "skipped": [(clip.name, clip.reason) for clip in self.skipped],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; a state of other clips is a `ValueError`."""
        if state["fingerprint"] != self.clips.fingerprint:
            raise ValueError("the saved sampler state belongs to other clips; start the training afresh")
        self._generator.set_state(state["generator"])
        self.skipped = [UnreadableClip(name, reason) for name, reason in state["skipped"]]

    def _crop(self, generator: torch.Generator, frames: int) -> Tensor:
        """One crop `x_CTHW`."""
        draw = functools.partial(below, generator)
        clip_THWC = self._draw_clip(generator, frames)
        length, height, width, _ = clip_THWC.shape
        feasible = self.max_stride if frames == 1 else min(self.max_stride, (length - 1) // (frames - 1))
        stride = 1 + draw(feasible)
        first = draw(length - stride * (frames - 1))
        side = min(min(height, width), round(self.size / self._scale(generator, min(height, width))))
        top, left = draw(height - side + 1), draw(width - side + 1)
        window = slice(first, first + stride * (frames - 1) + 1, stride)
        x_TCHW = clip_THWC[window, top : top + side, left : left + side].permute(0, 3, 1, 2).float()
        if side != self.size:
            shape = [self.size, self.size]
            x_TCHW = F.interpolate(x_TCHW, size=shape, mode="bilinear", antialias=True, align_corners=False)
        if draw(2):
            x_TCHW = x_TCHW.flip(3)
        return to_unit_range(x_TCHW).permute(1, 0, 2, 3).contiguous()

    def _scale(self, generator: torch.Generator, short_side: int) -> float:
        """By how much the frame is shrunk before cropping; above one when the clip is smaller than the crop."""
        least = self.size / short_side
        low = max(SMALLEST_SCALE, least)
        return max(low + (1.0 - low) * float(torch.rand((), generator=generator)), least)

    def _draw_clip(self, generator: torch.Generator, frames: int) -> Tensor:
        """The frames of a random clip (T, H, W, 3). One that cannot be used is put aside and drawn again in vain: what
        a generator gives does not depend on what others have met before.
        """
        while any((name, frames) not in self._unusable for name in self._names):
            name = self._names[int(torch.multinomial(self._weights, 1, generator=generator))]
            try:
                if (name, frames) not in self._unusable:
                    return self._frames_of(name, frames)
            except ClipError as error:
                self._unusable.add((name, frames))
                self._report(name, error.reason)
        reasons = "; ".join(f"{clip.name} {clip.reason}" for clip in self.skipped[:3])
        raise ValueError(f"no clip of {self.clips.source} can be used for training: {reasons}")

    def _frames_of(self, name: str, frames: int) -> Tensor:
        if name in self._kept:
            self._kept.move_to_end(name)
        else:
            self._keep(name, torch.from_numpy(self.clips.read_uint8(name)))
        clip_THWC = self._kept[name]
        if len(clip_THWC) < frames:
            raise ClipError(name, f"is too short: {len(clip_THWC)} frames, training needs {frames}")
        return clip_THWC

    def _keep(self, name: str, clip_THWC: Tensor) -> None:
        """Remember a decoded clip, and forget the longest unused ones beyond the memory budget."""
        self._kept[name] = clip_THWC
        self._kept_bytes += clip_THWC.numel()
        while self._kept_bytes > self._budget_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].numel()

    def _report(self, name: str, reason: str) -> None:
        if name not in {clip.name for clip in self.skipped}:
            self.skipped.append(UnreadableClip(name, reason))


def below(generator: torch.Generator, count: int) -> int:
    """A random integer in [0, count)."""
    return int(torch.randint(count, (1,), generator=generator))
