"""A causal depthwise 3x3x3 convolution: a program walks through time and loads every frame once.

PyTorch's and cuDNN's depthwise kernels for clips are slow (pytorch/pytorch#110885): on an H200 a clip of 384 channels
and 41 frames of 120x208 takes 7 to 54 ms there and 1.7 ms here. The clip lies channels last. A program makes a tile of
pixels times a slab of channels; of each frame it gathers the nine neighbours and adds them, weighed in float32, to the
three outputs that see that frame. The frames in front of the clip are read where the state holds them.

Legend: N batch, C channels, T frames, H W pixels; K the 27 taps, over time, rows and columns.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CONFIGS = [
    triton.Config({"PIXELS": pixels, "SLAB": slab}, num_warps=warps)
    for pixels, slab, warps in ((32, 64, 4), (64, 64, 4), (32, 64, 8))
]


@triton.jit
def _spread(  # type: ignore[no-untyped-def]
    own, following, frame_ptr, taps_ptr, pixel, row, column, c, inside, present, height, width,
    CHANNELS: tl.constexpr,
):  # fmt: skip
    """Add what one frame brings to its own output, to the next one, and, as a new sum, to the one behind that."""
    later = tl.zeros_like(own)
    for i in range(3):  # a real loop: unrolled, it asks for more registers than there are
        for j in tl.static_range(3):
            y, x = row + i - 1, column + j - 1
            seen = inside & (y >= 0) & (y < height) & (x >= 0) & (x < width)
            source = frame_ptr + (pixel + (i - 1) * width + (j - 1))[:, None] * CHANNELS + c[None, :]
            value = tl.load(source, mask=seen[:, None] & present[None, :], other=0.0).to(tl.float32)
            tap = taps_ptr + (i * 3 + j) * CHANNELS + c
            later += value * tl.load(tap, mask=present, other=0.0).to(tl.float32)[None, :]
            following += value * tl.load(tap + 9 * CHANNELS, mask=present, other=0.0).to(tl.float32)[None, :]
            own += value * tl.load(tap + 18 * CHANNELS, mask=present, other=0.0).to(tl.float32)[None, :]
    return own, following, later


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]
    past_ptr, clip_ptr, taps_ptr, out_ptr, frames, height, width, CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
    SLAB: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(0) * SLAB + tl.arange(0, SLAB)
    pixel = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    batch, plane = tl.program_id(2).to(tl.int64), height * width
    row, column, inside, present = pixel // width, pixel % width, pixel < plane, c < CHANNELS
    size = tl.cast(plane, tl.int64) * CHANNELS
    past, clip, out = past_ptr + batch * 2 * size, clip_ptr + batch * frames * size, out_ptr + batch * frames * size
    first = tl.zeros((PIXELS, SLAB), dtype=tl.float32)  # of the output at hand
    second = tl.zeros((PIXELS, SLAB), dtype=tl.float32)  # of the next one
    for _ in range(2):
        _, first, second = _spread(
            first, second, past, taps_ptr, pixel, row, column, c, inside, present, height, width, CHANNELS
        )
        past += size
    for _ in range(frames):
        made, first, second = _spread(
            first, second, clip, taps_ptr, pixel, row, column, c, inside, present, height, width, CHANNELS
        )
        target = out + pixel[:, None] * CHANNELS + c[None, :]
        tl.store(target, made.to(out_ptr.dtype.element_ty), mask=inside[:, None] & present[None, :])
        clip += size
        out += size


_tuned = triton.autotune(CONFIGS, key=["frames", "height", "width"])(_kernel)


@torch.library.triton_op("flash_vaed::depthwise_filter", mutates_args={})
def depthwise_filter(past_NCTHW: Tensor, x_NCTHW: Tensor, taps_KC: Tensor) -> Tensor:
    """The two frames in front of a clip (N, C, 2, H, W), the clip (N, C, T, H, W) and filters -> (N, C, T, H, W).

    Zeros around H and W; the result lies channels last.
    """
    return launch(torch.library.wrap_triton(_tuned), past_NCTHW, x_NCTHW, taps_KC)


def launch(kernel: Any, past_NCTHW: Tensor, x_NCTHW: Tensor, taps_KC: Tensor, **block: int) -> Tensor:
    """`depthwise_filter` by a kernel; block: its sizes, where they are not tuned."""
    N, C, T, H, W = x_NCTHW.shape
    past, clip = (part.permute(0, 2, 3, 4, 1).contiguous() for part in (past_NCTHW, x_NCTHW))
    out = torch.empty_like(clip)
    kernel[lambda meta: (triton.cdiv(C, meta["SLAB"]), triton.cdiv(H * W, meta["PIXELS"]), N)](
        past, clip, taps_KC.float(), out, T, H, W, CHANNELS=C, **block
    )
    return out.permute(0, 4, 1, 2, 3)
