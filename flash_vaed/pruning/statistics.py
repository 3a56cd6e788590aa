"""Moments of every channel that can go, and what the frames make of an error in it: what criteria and surgery read.

Accumulated in float64, one clip at a time, so memory does not grow with the data. One pass serves every plan, ratio and
criterion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flash_vaed.operators.base import at, sample_positions
from flash_vaed.spec import FrozenMapping


@dataclass(frozen=True)
class Moments:
    """mean (C,) and covariance (C, C) of some channels, float64.

    sensitivity: (C, C); its product with the covariance of small errors, independent from position to position, has as
    trace the mean squared error of the frames, to first order. None for what layers only read.
    """

    mean: Tensor
    covariance: Tensor
    sensitivity: Tensor | None = None


NOTHING = Moments(torch.zeros(0, dtype=torch.float64), torch.zeros(0, 0, dtype=torch.float64))
"""Of no channels: what the entry reads of the teacher's sites."""


def pooled(moments: Sequence[Moments]) -> Moments:
    """Of channels that several layers write; each covariance counts by its shape, not by its trace, so that none drowns
    another.
    """
    traces = [torch.trace(m.covariance).clamp_min(1e-12) for m in moments]
    share = torch.stack([m.covariance / trace for m, trace in zip(moments, traces, strict=True)]).mean(dim=0)
    return Moments(torch.stack([m.mean for m in moments]).mean(dim=0), share * torch.stack(traces).mean())


PARTS = tuple(field.name for field in dataclasses.fields(Moments))


class Statistics(FrozenMapping[str, Moments]):
    """Moments by tap: a module's path for what it writes, "path:input" for what it reads."""

    def to_tensors(self) -> dict[str, Tensor]:
        """Flat, for safetensors; `from_tensors` is the inverse."""
        values = ((f"{name}/{part}", getattr(moments, part)) for name, moments in self.items() for part in PARTS)
        return {key: value.contiguous() for key, value in values if value is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Statistics:
        names = dict.fromkeys(key.rsplit("/", 1)[0] for key in tensors)
        return cls({name: Moments(*(tensors.get(f"{name}/{part}") for part in PARTS)) for name in names})  # type: ignore[arg-type]


class Accumulator:
    """Sums of rows (P, C), of their products, and of those of the frames' gradients."""

    def __init__(self) -> None:
        self.count, self.total, self.gram = 0, torch.zeros(()), torch.zeros(())
        self.slopes: Tensor | None = None

    def add(self, rows_PC: Tensor) -> None:
        """Values at sampled positions."""
        rows = rows_PC.double()
        self.count += len(rows)
        self.total = self.total + rows.sum(dim=0)
        self.gram = self.gram + rows.T @ rows

    def add_slopes(self, slopes_NCTHW: Tensor, pixels: int) -> None:
        """Gradients of one probe of a clip's `pixels` output numbers, at all positions."""
        rows = slopes_NCTHW.transpose(0, 1).flatten(1)
        square = (rows @ rows.T).double() / pixels
        self.slopes = square if self.slopes is None else self.slopes + square

    def moments(self, clips: int) -> Moments:
        mean = self.total / self.count
        slopes = None if self.slopes is None else self.slopes / clips
        return Moments(mean, self.gram / self.count - torch.outer(mean, mean), slopes)


def accumulate(
    model: nn.Module,
    written: Sequence[str],
    read: Sequence[str],
    clips: Iterable[Tensor],
    positions: int,
    generator: torch.Generator,
) -> Statistics:
    """Moments of what the modules `written` write and the modules `read` read ("path:input") while `model` runs.

    From `positions` positions per module and clip. The sensitivity of what is written comes from one backward pass per
    clip, whose probe is noise on the frames (Hutchinson's estimator of the squared Jacobian).
    """
    sums = {tap: Accumulator() for tap in (*written, *(f"{path}:input" for path in read))}
    modules, hooks, pixels, seen = dict(model.named_modules()), [], 0, 0

    def observe(tap: str, values: Tensor) -> None:
        index = sample_positions(values.shape, positions, generator, first_frame=0)
        sums[tap].add(at(values.detach(), index))

    def behind(tap: str, values: Tensor) -> None:
        observe(tap, values)
        values.register_hook(lambda slopes: sums[tap].add_slopes(slopes, pixels))

    for path in written:
        hooks.append(modules[path].register_forward_hook(lambda _m, _i, output, tap=path: behind(tap, output)))
    for path in read:
        tap = f"{path}:input"
        hooks.append(modules[path].register_forward_pre_hook(lambda _m, inputs, tap=tap: observe(tap, inputs[0])))
    try:
        for clip in clips:
            with torch.enable_grad():
                start = clip.detach().requires_grad_(True)
                frames = model(start)
            pixels, seen = frames.numel(), seen + 1
            torch.autograd.grad(frames, start, torch.randn(frames.shape, generator=generator))
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise ValueError("calibration needs at least one clip of latents")
    return Statistics({tap: found.moments(seen) for tap, found in sums.items()})
