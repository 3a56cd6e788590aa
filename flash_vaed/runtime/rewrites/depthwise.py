"""Depthwise 3x3x3 and pointwise as one operation with one bias; on a GPU by a Triton kernel.

Nothing non-linear lies between the two, so the filters' bias goes through the mix into its bias, exactly. Whether the
kernel wins has not been measured on a GPU yet: no preset has this rewrite.
"""

from __future__ import annotations

from torch import Tensor, nn

from flash_vaed.operators import Hop
from flash_vaed.operators.base import convolve
from flash_vaed.operators.depthwise3d import Depthwise3d
from flash_vaed.runtime.kernels import has_triton
from flash_vaed.runtime.rewrites.base import REWRITES, everywhere
from flash_vaed.state import Stream


class FusedDepthwise(nn.Module):
    """`Depthwise3d` with one filter per channel. Off a GPU, or without Triton, the two convolutions one by one."""

    def __init__(self, operator: Depthwise3d) -> None:
        super().__init__()
        self.slot, self.time = operator.slot, operator.time
        mix = operator.pointwise_weight.detach().double().flatten(1)
        bias = operator.pointwise_bias.detach().double() + mix @ operator.depthwise_bias.detach().double()
        dtype = operator.pointwise_weight.dtype
        self.depthwise_weight, self.pointwise_weight = operator.depthwise_weight, operator.pointwise_weight
        self.bias = nn.Parameter(bias.to(dtype), requires_grad=False)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        extended = stream.extend(self.slot, x_NCTHW, 2, self.time)
        if extended.device.type == "cuda" and has_triton() and extended.shape[2] > 2:
            from flash_vaed.runtime.kernels.depthwise import depthwise_pointwise

            taps_333C = self.depthwise_weight[:, 0].permute(1, 2, 3, 0).contiguous()
            mix_CO = self.pointwise_weight.flatten(1).T.contiguous()
            made: Tensor = depthwise_pointwise(extended, taps_333C, mix_CO, self.bias)
            return made
        filtered = convolve(extended, self.depthwise_weight, None, groups=extended.shape[1])
        return convolve(filtered, self.pointwise_weight, self.bias)

    def sight(self) -> tuple[Hop, ...]:
        return (Hop(margin=1),)


@REWRITES.register("depthwise")
@everywhere
def depthwise(module: nn.Module) -> nn.Module | None:
    """Every separable 3x3x3 operator with one filter per channel."""
    return FusedDepthwise(module) if type(module) is Depthwise3d else None
