"""What families share: the residual block, the 1x1x1 convolution, and pixels out of channels.

Legend: N batch, C channels, T frames, H W pixels of the stage at hand.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from flash_vaed.families.norms import Norm
from flash_vaed.operators import OPERATORS, Hop
from flash_vaed.operators.base import convolve
from flash_vaed.spec import StagePlan
from flash_vaed.state import Stream


class Pointwise(nn.Module):
    """1x1x1 convolution with a (O, I, 1, 1, 1) weight."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Conv3d(in_channels, out_channels, 1).parameters()  # for its initialisation

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        return convolve(x_NCTHW, self.weight, self.bias)


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, norm, SiLU, conv, plus the input (projected where widths differ or the plan says so).

    norm: channels -> the family's norm. projection: in and out channels -> what its residual path goes through.
    """

    def __init__(
        self,
        in_channels: int,
        plan: StagePlan,
        time: str,
        norm: Callable[[int], Norm],
        projection: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        operator = OPERATORS.get(plan.operator)
        self.slot = ""
        self.norm1 = norm(in_channels)
        self.conv1 = operator(in_channels, plan.channels, plan.time or time)
        self.norm2 = norm(plan.channels)
        self.conv2 = operator(plan.channels, plan.channels, plan.time or time)
        projected = plan.shortcut == "always" or in_channels != plan.channels
        self.shortcut = projection(in_channels, plan.channels) if projected else nn.Identity()

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        y = self.conv1(self.norm1.then_silu(x_NCTHW), stream)
        y = self.conv2(self.norm2.then_silu(y), stream)
        return y + self.shortcut(stream.release(self.slot, x_NCTHW, y.shape[2]))

    def sight(self) -> tuple[Hop, ...]:
        return self.conv1.sight() + self.conv2.sight()


def unpatchify(x_NCTHW: Tensor, patch: int) -> Tensor:
    """(N, C * patch * patch, T, H, W) to pixels (N, C, T, H * patch, W * patch). In a patch the row varies faster."""
    if patch == 1:
        return x_NCTHW
    N, C, T, H, W = x_NCTHW.shape
    C = C // patch**2
    squares = x_NCTHW.reshape(N, C, patch, patch, T, H, W).permute(0, 1, 4, 5, 3, 6, 2)
    return squares.reshape(N, C, T, H * patch, W * patch)
