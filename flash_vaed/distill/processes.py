"""The other processes of a training, where there are any: torch's process group, asked and never set up here."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import nn


def rank_and_count() -> tuple[int, int]:
    """Which of how many processes this is; (0, 1) where there is no process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def mean_over_processes(values: Mapping[str, float]) -> dict[str, float]:
    """The mean of each value over all processes. Every process must ask, with the same names in the same order."""
    if rank_and_count()[1] == 1 or not values:
        return dict(values)
    stacked = torch.tensor(list(values.values()), dtype=torch.float64, device=_device())
    dist.all_reduce(stacked)
    return dict(zip(values, (stacked / rank_and_count()[1]).tolist(), strict=True))


def mean_gradients(module: nn.Module) -> None:
    """Average the gradients of a module that no wrapper does it for."""
    count = rank_and_count()[1]
    if count == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= count


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
