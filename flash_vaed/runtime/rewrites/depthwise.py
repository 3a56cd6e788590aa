"""Depthwise 3x3x3 with its bias folded into the pointwise mix behind it; the filters are a kernel of ours.

Nothing non-linear lies between the two, so the filters' bias goes through the mix into its bias, exactly. The kernels
read the frames before a step where the state holds them, so nothing is put together first.
"""

from __future__ import annotations

from torch import Tensor, nn

from flash_vaed.operators import Hop
from flash_vaed.operators.base import convolve
from flash_vaed.operators.depthwise3d import Depthwise3d
from flash_vaed.runtime.kernels import runs_triton
from flash_vaed.runtime.kernels.cpu import LANES, depthwise_rows, runs_on_cpu
from flash_vaed.runtime.rewrites.base import REWRITES, everywhere
from flash_vaed.state import Stream


class FoldedDepthwise(nn.Module):
    """`Depthwise3d` with one filter per channel and one bias. Without Triton or a C++ compiler two convolutions."""

    def __init__(self, operator: Depthwise3d) -> None:
        super().__init__()
        self.slot, self.time = operator.slot, operator.time
        mix = operator.pointwise_weight.detach().double().flatten(1)
        bias = operator.pointwise_bias.detach().double() + mix @ operator.depthwise_bias.detach().double()
        dtype = operator.pointwise_weight.dtype
        self.depthwise_weight, self.pointwise_weight = operator.depthwise_weight, operator.pointwise_weight
        taps = operator.depthwise_weight.detach().flatten(1).T.contiguous()  # (27, C)
        self.taps = nn.Parameter(taps, requires_grad=False)
        self.bias = nn.Parameter(bias.to(dtype), requires_grad=False)

    def forward(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        return convolve(self._filter(x_NCTHW, stream), self.pointwise_weight, self.bias)

    def _filter(self, x_NCTHW: Tensor, stream: Stream) -> Tensor:
        if self.time == "causal_zero" and runs_triton(x_NCTHW):
            from flash_vaed.runtime.kernels.depthwise import depthwise_filter

            filtered: Tensor = depthwise_filter(stream.recall(self.slot, x_NCTHW, 2), x_NCTHW, self.taps)
            return filtered
        if self.time == "causal_zero" and x_NCTHW.shape[1] % LANES == 0 and runs_on_cpu(x_NCTHW):
            past = stream.recall(self.slot, x_NCTHW, 2)
            made: Tensor = depthwise_rows(past[:, :, :0] if stream.first else past, x_NCTHW, self.taps)
            return made
        extended = stream.extend(self.slot, x_NCTHW, 2, self.time)
        return convolve(extended, self.depthwise_weight, None, groups=extended.shape[1])

    def sight(self) -> tuple[Hop, ...]:
        return (Hop(margin=1),)


@REWRITES.register("depthwise")
@everywhere
def depthwise(module: nn.Module) -> nn.Module | None:
    """Every separable 3x3x3 operator with one filter per channel."""
    return FoldedDepthwise(module) if type(module) is Depthwise3d else None
