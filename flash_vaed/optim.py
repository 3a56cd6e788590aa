"""Muon for hidden convolution kernels, AdamW for everything else, behind one `step`.

Muon (Keller Jordan, 2024; `torch.optim.Muon`) orthogonalises the update of a matrix. A convolution kernel (O, I, ...)
is the matrix (O, I * taps); torch's optimiser takes matrices only, so it is given flat views that share the kernels'
storage.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class HybridOptimizer:
    """`hidden` kernels by Muon, `edges` by AdamW; both rates follow one schedule factor in [0, 1].

    muon_decay: decoupled weight decay of the hidden kernels. Layers whose scale a later norm removes have nothing else
    that keeps them from growing without end.
    """

    def __init__(
        self,
        hidden: Iterable[nn.Parameter],
        edges: Iterable[nn.Parameter],
        muon_lr: float,
        adamw_lr: float,
        muon_decay: float = 0.0,
    ) -> None:
        self._kernels = [p for p in hidden if p.requires_grad]
        self._flat = [nn.Parameter(p.detach().view(p.shape[0], -1)) for p in self._kernels]
        self._edges = [p for p in edges if p.requires_grad]
        optimizers: list[tuple[torch.optim.Optimizer, float]] = []
        if self._flat:
            optimizers.append((torch.optim.Muon(self._flat, lr=muon_lr, weight_decay=muon_decay), muon_lr))
        if self._edges:
            optimizers.append(
                (torch.optim.AdamW(self._edges, lr=adamw_lr, betas=(0.9, 0.95), weight_decay=0.0), adamw_lr)
            )
        self._optimizers = optimizers

    def step(self, rate: float, max_grad_norm: float = 1.0) -> float:
        """One update at rates scaled by `rate`; gradients are clipped, then cleared. Returns the gradient norm.

        A norm that is not finite is a `FloatingPointError`, and nothing has moved.
        """
        norm = nn.utils.clip_grad_norm_([*self._kernels, *self._edges], max_grad_norm)
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient's norm is {float(norm)}")
        for kernel, flat in zip(self._kernels, self._flat, strict=True):
            flat.grad = None if kernel.grad is None else kernel.grad.reshape(flat.shape)
        for optimizer, lr in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * rate
            optimizer.step()
        for parameter in (*self._kernels, *self._edges):
            parameter.grad = None
        return float(norm)

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer, _ in self._optimizers]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        for (optimizer, _), saved in zip(self._optimizers, state, strict=True):
            optimizer.load_state_dict(saved)


def split_parameters(
    module: nn.Module, edge_prefixes: tuple[str, ...]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(hidden kernels, edges): kernels with at least two dimensions inside the network, and all the rest."""
    hidden: list[nn.Parameter] = []
    edges: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        inner = parameter.ndim >= 2 and parameter.shape[1] > 1 and not name.startswith(edge_prefixes)
        (hidden if inner else edges).append(parameter)
    return hidden, edges


def cosine_rate(step: int, steps: int, warmup: int = 0) -> float:
    """Linear from 0 over `warmup` steps, then half a cosine down to 0 at `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, keep: float) -> None:
    """Move averaged weights towards those of `model`; `keep` is the share of the average that stays."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        mean.lerp_(value, 1 - keep)
