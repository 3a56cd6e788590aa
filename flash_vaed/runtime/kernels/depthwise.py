"""A depthwise 3x3x3 convolution and the pointwise mix behind it in one kernel: what is filtered is never written.

PyTorch's depthwise kernel for clips is about as slow as a dense one of 64 channels (pytorch/pytorch#110885), and a
student's two deepest stages are made of it. The clip lies channels last. A program makes a tile of pixels times a block
of outputs: for a slab of channels it gathers the 27 neighbours, weighs them in float32, and multiplies the slab into
the outputs on the tensor cores.

Legend: N batch, C input channels, O output channels, T frames (two more come in), H W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

PIXELS, SLAB, OUTPUTS = 64, 32, 64  # of a program; a product on tensor cores has sides of at least 16


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]
    clip_ptr, taps_ptr, mix_ptr, bias_ptr, out_ptr, frames, height, width, channels, outputs,
    PIXELS: tl.constexpr, SLAB: tl.constexpr, OUTPUTS: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    clip = tl.program_id(2).to(tl.int64)
    plane = height * width
    t, y, x = pixel // plane, pixel % plane // width, pixel % width
    inside, wanted = pixel < frames * plane, output < outputs
    total = tl.zeros((PIXELS, OUTPUTS), dtype=tl.float32)
    for start in range(0, channels, SLAB):
        c = start + tl.arange(0, SLAB)
        present = c < channels
        filtered = tl.zeros((PIXELS, SLAB), dtype=tl.float32)
        for k in range(3):
            for i in range(3):
                for j in range(3):
                    row, column = y + i - 1, x + j - 1
                    seen = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
                    place = ((clip * (frames + 2) + t + k) * height + row) * width + column
                    source = clip_ptr + place[:, None] * channels + c[None, :]
                    value = tl.load(source, mask=seen[:, None] & present[None, :], other=0.0)
                    tap = tl.load(taps_ptr + ((k * 3 + i) * 3 + j) * channels + c, mask=present, other=0.0)
                    filtered += value.to(tl.float32) * tap.to(tl.float32)[None, :]
        square = mix_ptr + c[:, None] * outputs + output[None, :]
        mix = tl.load(square, mask=present[:, None] & wanted[None, :], other=0.0)
        total += tl.dot(filtered.to(mix.dtype), mix, input_precision="ieee", out_dtype=tl.float32)
    total += tl.load(bias_ptr + output, mask=wanted, other=0.0).to(tl.float32)[None, :]
    target = out_ptr + (clip * frames * plane + pixel)[:, None] * outputs + output[None, :]
    tl.store(target, total.to(out_ptr.dtype.element_ty), mask=inside[:, None] & wanted[None, :])


@torch.library.triton_op("flash_vaed::depthwise_pointwise", mutates_args={})
def depthwise_pointwise(clip_NCTHW: Tensor, taps_333C: Tensor, mix_CO: Tensor, bias_O: Tensor) -> Tensor:
    """(N, C, T + 2, H, W) channels last -> (N, O, T, H, W) channels last; zeros around H and W."""
    return _launch(torch.library.wrap_triton(_kernel), clip_NCTHW, taps_333C, mix_CO, bias_O)


def _launch(kernel: Any, clip_NCTHW: Tensor, taps_333C: Tensor, mix_CO: Tensor, bias_O: Tensor) -> Tensor:
    N, C, longer, H, W = clip_NCTHW.shape
    T, O = longer - 2, mix_CO.shape[1]  # noqa: E741
    clip_NTHWC = clip_NCTHW.permute(0, 2, 3, 4, 1).contiguous()
    out_NTHWO = torch.empty(N, T, H, W, O, dtype=clip_NCTHW.dtype, device=clip_NCTHW.device)
    grid = (triton.cdiv(T * H * W, PIXELS), triton.cdiv(O, OUTPUTS), N)
    kernel[grid](
        clip_NTHWC, taps_333C, mix_CO, bias_O, out_NTHWO, T, H, W, C, O, PIXELS=PIXELS, SLAB=SLAB, OUTPUTS=OUTPUTS
    )
    return out_NTHWO.permute(0, 4, 1, 2, 3)
