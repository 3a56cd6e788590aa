"""What an operator is: a 3x3(x3) convolution that can start from a dense kernel and be refitted in closed form.

Legend: N batch, C channels, T frames, H W pixels; O output, I input channels; P sampled positions, K regression
columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.registry import Registry
from flash_vaed.state import Stream

OPERATORS: Registry[type[Operator]] = Registry("operator", __package__)

Index = tuple[Tensor, Tensor, Tensor, Tensor]  # sampled positions as (n, t, y, x), each of shape (P,)


class Operator(nn.Module, ABC):
    """A convolution over space (and perhaps past frames) that keeps T, H and W.

    `slot` is the module's path in its decoder: the key of its remembered frames.
    """

    slot: str = ""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels

    @abstractmethod
    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        """(N, in, T, H, W) -> (N, out, T, H, W)."""

    @abstractmethod
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """Take the best start a dense causal 3x3x3 kernel of the same widths can give."""

    @abstractmethod
    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        """Regressors (P, K) whose linear map to the output the operator can realise, for a clip starting at frame 0."""

    @abstractmethod
    def theta(self) -> Tensor:
        """The linear map (K, O) on `columns` as it stands."""

    @abstractmethod
    def write(self, theta_KO: Tensor, bias_O: Tensor) -> None:
        """Store the linear map found by regression on `columns`."""


class KernelOperator(Operator):
    """An operator that is one kernel and one bias: a linear map of the patch around every position.

    reach: frames, rows and columns of the patch. The kernel (O, I, ...) flattens in the order of `patches`.
    """

    reach: ClassVar[tuple[int, int, int]]
    weight: nn.Parameter
    bias: nn.Parameter

    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        return patches(x_NCTHW, index, self.reach)

    def theta(self) -> Tensor:
        return self.weight.detach().flatten(1).T

    @torch.no_grad()
    def write(self, theta_KO: Tensor, bias_O: Tensor) -> None:
        self.weight.copy_(theta_KO.T.reshape(self.weight.shape))
        self.bias.copy_(bias_O)


def patches(x_NCTHW: Tensor, index: Index, kernel: tuple[int, int, int]) -> Tensor:
    """Causal, zero-padded patches at the sampled positions: (P, C * kt * kh * kw), ordered as a flattened kernel."""
    kt, kh, kw = kernel
    padded = F.pad(x_NCTHW, (kw // 2, kw // 2, kh // 2, kh // 2, kt - 1, 0))
    windows = padded.unfold(2, kt, 1).unfold(3, kh, 1).unfold(4, kw, 1)
    n, t, y, x = index
    return windows[n, :, t, y, x].flatten(1)


def sample_positions(shape: torch.Size, count: int, generator: torch.Generator, first_frame: int = 1) -> Index:
    """`count` random positions (n, t, y, x) of an NCTHW tensor, not before `first_frame` where there are later ones."""
    N, _, T, H, W = shape
    low = min(first_frame, T - 1)
    ranges = ((0, N), (low, T), (0, H), (0, W))
    return tuple(torch.randint(lo, hi, (count,), generator=generator) for lo, hi in ranges)  # type: ignore[return-value]
