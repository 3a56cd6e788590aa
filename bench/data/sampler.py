"""Endless training batches of random crops from a clip set, the same for the same seed, and resumable.

Every crop draws a clip (by its weight), a frame stride, a time window, a scale, a place and a flip, all from one
`torch.Generator`. Clips are decoded once, on first use, and kept as uint8 while they fit in the memory budget.
"""

from __future__ import annotations

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
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._kept_bytes, self._budget_bytes = 0, memory_budget_bytes

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        return torch.stack([self._crop() for _ in range(self.batch)])

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
        self.skipped, self._weights = [], torch.tensor(self.clips.weights, dtype=torch.float64)
        for name, reason in state["skipped"]:
            self._skip(name, reason)

    def _crop(self) -> Tensor:
        """One crop `x_CTHW`."""
        clip_THWC = self._draw_clip()
        length, height, width, _ = clip_THWC.shape
        feasible = self.max_stride if self.frames == 1 else min(self.max_stride, (length - 1) // (self.frames - 1))
        stride = 1 + self._below(feasible)
        first = self._below(length - stride * (self.frames - 1))
        side = min(min(height, width), round(self.size / self._scale(min(height, width))))
        top, left = self._below(height - side + 1), self._below(width - side + 1)
        window = slice(first, first + stride * (self.frames - 1) + 1, stride)
        x_TCHW = clip_THWC[window, top : top + side, left : left + side].permute(0, 3, 1, 2).float()
        if side != self.size:
            shape = [self.size, self.size]
            x_TCHW = F.interpolate(x_TCHW, size=shape, mode="bilinear", antialias=True, align_corners=False)
        if self._below(2):
            x_TCHW = x_TCHW.flip(3)
        return to_unit_range(x_TCHW).permute(1, 0, 2, 3).contiguous()

    def _scale(self, short_side: int) -> float:
        """By how much the frame is shrunk before cropping; above one when the clip is smaller than the crop."""
        least = self.size / short_side
        low = max(SMALLEST_SCALE, least)
        return max(low + (1.0 - low) * self._uniform(), least)

    def _draw_clip(self) -> Tensor:
        """The frames of a random clip (T, H, W, 3); unreadable ones are put aside until one can be read."""
        while self._weights.sum() > 0:
            index = int(torch.multinomial(self._weights, 1, generator=self._generator))
            name = self._names[index]
            try:
                return self._frames_of(name)
            except ClipError as error:
                self._skip(name, error.reason)
        reasons = "; ".join(f"{clip.name} {clip.reason}" for clip in self.skipped[:3])
        raise ValueError(f"no clip of {self.clips.source} can be used for training: {reasons}")

    def _frames_of(self, name: str) -> Tensor:
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        clip_THWC = torch.from_numpy(self.clips.read_uint8(name))
        if len(clip_THWC) < self.frames:
            raise ClipError(name, f"is too short: {len(clip_THWC)} frames, training needs {self.frames}")
        self._kept[name] = clip_THWC
        self._kept_bytes += clip_THWC.numel()
        while self._kept_bytes > self._budget_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].numel()
        return clip_THWC

    def _skip(self, name: str, reason: str) -> None:
        self.skipped.append(UnreadableClip(name, reason))
        self._weights[self._names.index(name)] = 0.0

    def _below(self, count: int) -> int:
        """A random integer in [0, count)."""
        return int(torch.randint(count, (1,), generator=self._generator))

    def _uniform(self) -> float:
        return float(torch.rand((), generator=self._generator))
