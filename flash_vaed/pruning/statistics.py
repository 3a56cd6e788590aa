"""First and second moments of every site's channels, from real latents: what the criteria read.

Accumulated in float64 from sampled positions, one clip at a time, so memory does not grow with the data. One pass
serves every ratio and every criterion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.operators.base import sample_positions
from flash_vaed.pruning.sites import sites
from flash_vaed.spec import FrozenMapping


@dataclass(frozen=True)
class Moments:
    """mean (C,) and covariance (C, C) of one site's channels, float64."""

    mean: Tensor
    covariance: Tensor


class Statistics(FrozenMapping[str, Moments]):
    """Moments by site name."""

    def to_tensors(self) -> dict[str, Tensor]:
        """Flat, for safetensors; `from_tensors` is the inverse."""
        pairs = ((name, part, getattr(m, part)) for name, m in self.items() for part in ("mean", "covariance"))
        return {f"{name}/{part}": value.contiguous() for name, part, value in pairs}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Statistics:
        names = dict.fromkeys(key.rsplit("/", 1)[0] for key in tensors)
        return cls({name: Moments(tensors[f"{name}/mean"], tensors[f"{name}/covariance"]) for name in names})


class _Accumulator:
    """Pools taps of one site. Each tap's covariance is divided by its trace first, so that no tap drowns another."""

    def __init__(self) -> None:
        self.taps: dict[str, tuple[int, Tensor, Tensor]] = {}

    def add(self, tap: str, rows_PC: Tensor) -> None:
        count, total, gram = self.taps.get(tap, (0, 0.0, 0.0))
        rows = rows_PC.double()
        self.taps[tap] = (count + len(rows), total + rows.sum(dim=0), gram + rows.T @ rows)  # type: ignore[assignment]

    def moments(self) -> Moments:
        means, covariances, traces = [], [], []
        for count, total, gram in self.taps.values():
            mean = total / count
            covariance = gram / count - torch.outer(mean, mean)
            trace = torch.trace(covariance).clamp_min(1e-12)
            means.append(mean)
            covariances.append(covariance / trace)
            traces.append(trace)
        scale = torch.stack(traces).mean()
        return Moments(torch.stack(means).mean(dim=0), torch.stack(covariances).mean(dim=0) * scale)


@torch.no_grad()
def calibrate(decoder: Decoder, latents: Iterable[Tensor], positions: int = 4096, seed: int = 0) -> Statistics:
    """Moments of every site over raw `latents`, each (N, C, t, h, w), from `positions` positions per tap and clip."""
    generator = torch.Generator().manual_seed(seed)
    accumulators = {name: _Accumulator() for name in sites(decoder.spec)}
    modules = dict(decoder.named_modules())
    hooks = []

    def remember(site: str, tap: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            n, t, y, x = sample_positions(output.shape, positions, generator, first_frame=0)
            accumulators[site].add(tap, output[n, :, t, y, x])

        return hook

    for site in sites(decoder.spec).values():
        hooks += [modules[tap].register_forward_hook(remember(site.name, tap)) for tap in site.taps]
    try:
        seen = 0
        for seen, z in enumerate(latents, start=1):  # noqa: B007
            decoder(z)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise ValueError("calibration needs at least one clip of latents")
    return Statistics({name: accumulator.moments() for name, accumulator in accumulators.items()})
