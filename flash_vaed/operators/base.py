"""What an operator is: a 3x3(x3) convolution that can start from a dense kernel and be refitted in closed form.

An operator ends in a kernel that is linear in what comes before it, perhaps in independent groups of channels. That
kernel is what regression finds.

Legend: N batch, C channels, T frames, H W pixels; O output, I input channels; P sampled positions; G groups, K
regression columns of a group. Output channel o belongs to group o // (O // G).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flash_vaed.memory_format import is_channels_last
from flash_vaed.operators.cudnn import convolved_images, mixed, mixes_channels, takes_images
from flash_vaed.operators.onednn import is_small_clip, recorded_convolution
from flash_vaed.registry import Registry
from flash_vaed.state import Stream

OPERATORS: Registry[type[Operator]] = Registry("operator", __package__)

Index = tuple[Tensor, Tensor, Tensor, Tensor]  # sampled positions as (n, t, y, x), each of shape (P,)


class Hop(NamedTuple):
    """What a layer does to space: it sees `margin` pixels on each side, then makes a square of side `scale` of each
    pixel.
    """

    margin: int = 0
    scale: int = 1


class Operator(nn.Module, ABC):
    """A convolution over space (and perhaps neighbouring frames) that keeps T, H and W.

    time: what it sees beyond a clip's ends, one of `spec.TIMES`. `slot` is the module's path in its decoder: the key of
    its remembered frames. `groups`: independent groups of its last kernel.
    """

    slot: str = ""
    groups: int = 1

    def __init__(self, in_channels: int, out_channels: int, time: str = "causal_zero") -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.time = in_channels, out_channels, time

    @abstractmethod
    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        """(N, in, T, H, W) -> (N, out, T, H, W)."""

    def sight(self) -> tuple[Hop, ...]:
        """How far it sees in space: its kernels one after another. An operator that dilates or strides says its own."""
        kernels = [parameter.shape[-2:] for parameter in self.parameters() if parameter.ndim >= 4]
        return tuple(Hop(max(kernel) // 2) for kernel in kernels if max(kernel) > 1)

    @abstractmethod
    def from_dense(self, weight_OI333: Tensor, bias_O: Tensor) -> None:
        """Take the best start a dense causal 3x3x3 kernel of the same widths can give."""

    @abstractmethod
    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        """Regressors (G, P, K) whose linear map to the output the operator can realise, for a clip starting at frame 0.

        Each group's columns decide over its own output channels alone.
        """

    @abstractmethod
    def last(self) -> tuple[nn.Parameter, nn.Parameter]:
        """The kernel that maps `columns` to the output, (O, ...) with K values for each, and its bias (O,)."""

    def rows(self) -> Tensor:
        """The last kernel as a matrix (O, K)."""
        return self.last()[0].detach().flatten(1)

    def theta(self) -> Tensor:
        """The linear map (G, K, O // G) on `columns` as it stands."""
        return self.rows().unflatten(0, (self.groups, -1)).transpose(1, 2)

    @torch.no_grad()
    def write(self, theta_GKO: Tensor, bias_O: Tensor) -> None:
        """Store the linear map (G, K, O // G) found by regression on `columns`, and the bias (O,)."""
        weight, bias = self.last()
        weight.copy_(theta_GKO.transpose(1, 2).reshape(weight.shape))
        bias.copy_(bias_O)


class KernelOperator(Operator):
    """An operator that is one kernel and one bias: a linear map of the patch around every position.

    reach: frames, rows and columns of the patch. The kernel (O, I // G, ...) flattens in the order of `patches`.
    """

    reach: ClassVar[tuple[int, int, int]]
    weight: nn.Parameter
    bias: nn.Parameter

    def columns(self, x_NCTHW: Tensor, index: Index) -> Tensor:
        all_groups = patches(x_NCTHW, index, self.reach, self.time)  # (P, G * K)
        return all_groups.unflatten(1, (self.groups, -1)).transpose(0, 1)

    def last(self) -> tuple[nn.Parameter, nn.Parameter]:
        return self.weight, self.bias


def convolve(x_NCTHW: Tensor, weight_OIthw: Tensor, bias_O: Tensor | None, groups: int = 1) -> Tensor:
    """A convolution with half a kernel of zeros around H and W, which it keeps (an even side makes them one larger). It
    takes the kernel's reach off T; no frames where T is too short, as in the first steps of a stream that looks ahead.
    """
    taps, height, width = weight_OIthw.shape[2:]
    if x_NCTHW.shape[2] < taps:
        return x_NCTHW.new_zeros(len(x_NCTHW), len(weight_OIthw), 0, *x_NCTHW.shape[3:])
    padding = (0, height // 2, width // 2)
    if (recorded := recorded_convolution()) is not None:
        return recorded(x_NCTHW, weight_OIthw, bias_O, padding, groups)
    if type(x_NCTHW) is Tensor and is_small_clip(x_NCTHW) and (height * width > 1 or is_channels_last(x_NCTHW)):
        return torch.mkldnn_convolution(x_NCTHW, weight_OIthw, bias_O, padding, (1, 1, 1), (1, 1, 1), groups)
    if mixes_channels(x_NCTHW, weight_OIthw, groups):
        return mixed(x_NCTHW, weight_OIthw, bias_O)
    if takes_images(x_NCTHW, weight_OIthw, groups):
        return convolved_images(x_NCTHW, weight_OIthw, bias_O)
    return F.conv3d(x_NCTHW, weight_OIthw, bias_O, padding=padding, groups=groups)


def pad_time(x_NCTHW: Tensor, frames: int, time: str) -> Tensor:
    """A whole clip with what a convolution of `frames` + 1 taps sees beyond its ends."""
    return Stream.fresh().extend("", x_NCTHW, frames, time)


def patches(x_NCTHW: Tensor, index: Index, kernel: tuple[int, int, int], time: str = "causal_zero") -> Tensor:
    """Padded patches of a whole clip at the sampled positions: (P, C * kt * kh * kw), ordered as a flattened kernel."""
    kt, kh, kw = kernel
    padded = F.pad(x_NCTHW, (kw // 2, kw // 2, kh // 2, kh // 2, 0, 0))
    if kt > 1:
        padded = pad_time(padded, kt - 1, time)
    windows = padded.unfold(2, kt, 1).unfold(3, kh, 1).unfold(4, kw, 1)
    return at(windows, index).flatten(1)


def low_rank(matrix_AB: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best approximation of (..., A, B) of rank R <= A, B: left (..., A, R), scale (..., R), right (..., R, B).

    Left and right have columns and rows of norm 1, in order of falling scale. By the eigenvectors of the (B, B) Gram
    matrix, many times quicker than a singular value decomposition; it resolves scales down to 1e-8 of the largest.
    """
    _, vectors = torch.linalg.eigh(matrix_AB.mT @ matrix_AB)
    right = vectors.flip(-1)[..., :rank]
    left = matrix_AB @ right
    scale = left.norm(dim=-2)
    return left / scale.clamp_min(1e-300).unsqueeze(-2), scale, right.mT


def at(x_NCTHW: Tensor, index: Index) -> Tensor:
    """The values (P, C, ...) at sampled positions."""
    n, t, y, x = index
    return x_NCTHW[n, :, t, y, x]


def sample_positions(shape: torch.Size, count: int, generator: torch.Generator, first_frame: int = 1) -> Index:
    """`count` random positions (n, t, y, x) of an NCTHW tensor, not before `first_frame` where there are later ones.

    Where there are no more than `count`, each of them once, in order.
    """
    N, _, T, H, W = shape
    low = min(first_frame, T - 1)
    ranges = ((0, N), (low, T), (0, H), (0, W))
    if N * (T - low) * H * W <= count:
        axes = torch.cartesian_prod(*(torch.arange(lo, hi) for lo, hi in ranges)).unbind(dim=1)
    else:
        axes = tuple(torch.randint(lo, hi, (count,), generator=generator) for lo, hi in ranges)
    n, t, y, x = axes
    return n, t, y, x
