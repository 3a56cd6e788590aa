"""Attention of one wide head over the pixels of a frame, where PyTorch's quick kernels end at 256 channels.

As flash attention (Dao, arXiv 2307.08691): a program keeps a block of queries and walks over keys and values, with the
running maximum and sum of each row; the matrix of weights is never written. The channels lie in three parts, because a
block's side is a power of two and 512 would waste a quarter.

Legend: F frames, P pixels of a frame, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

PART = 128  # channels of a third
WIDEST = 3 * PART
LOG2_E = 1.4426950408889634
CONFIGS = [
    triton.Config({"ROWS": rows, "COLUMNS": columns}, num_warps=warps, num_stages=stages)
    for rows, columns, warps, stages in ((128, 32, 8, 2), (64, 32, 4, 2), (128, 64, 8, 1))
]


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]
    qkv_ptr, out_ptr, pixels, channels, SCALE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    PART: tl.constexpr,
):  # fmt: skip
    frame, stride = tl.program_id(1).to(tl.int64), 3 * channels
    row, c0 = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, PART)
    c1, c2 = c0 + PART, c0 + 2 * PART
    here = (row < pixels)[:, None]
    base = qkv_ptr + frame * pixels * stride
    query = base + row[:, None] * stride
    q0 = tl.load(query + c0[None, :], mask=here & (c0 < channels)[None, :], other=0.0)
    q1 = tl.load(query + c1[None, :], mask=here & (c1 < channels)[None, :], other=0.0)
    q2 = tl.load(query + c2[None, :], mask=here & (c2 < channels)[None, :], other=0.0)
    top = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    y0 = tl.zeros((ROWS, PART), tl.float32)
    y1 = tl.zeros((ROWS, PART), tl.float32)
    y2 = tl.zeros((ROWS, PART), tl.float32)
    for start in range(0, pixels, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        there = column < pixels
        key = base + channels + column[None, :] * stride
        k0 = tl.load(key + c0[:, None], mask=there[None, :] & (c0 < channels)[:, None], other=0.0)
        likeness = tl.dot(q0, k0, input_precision="ieee")
        k1 = tl.load(key + c1[:, None], mask=there[None, :] & (c1 < channels)[:, None], other=0.0)
        likeness = tl.dot(q1, k1, likeness, input_precision="ieee")
        k2 = tl.load(key + c2[:, None], mask=there[None, :] & (c2 < channels)[:, None], other=0.0)
        likeness = tl.dot(q2, k2, likeness, input_precision="ieee")
        likeness = tl.where(there[None, :], likeness * SCALE, float("-inf"))
        higher = tl.maximum(top, tl.max(likeness, 1))
        weight = tl.exp2(likeness - higher[:, None])
        shrink = tl.exp2(top - higher)
        total = total * shrink + tl.sum(weight, 1)
        top = higher
        value = base + 2 * channels + column[:, None] * stride
        v0 = tl.load(value + c0[None, :], mask=there[:, None] & (c0 < channels)[None, :], other=0.0)
        weight = weight.to(v0.dtype)
        y0 = tl.dot(weight, v0, y0 * shrink[:, None], input_precision="ieee")
        v1 = tl.load(value + c1[None, :], mask=there[:, None] & (c1 < channels)[None, :], other=0.0)
        y1 = tl.dot(weight, v1, y1 * shrink[:, None], input_precision="ieee")
        v2 = tl.load(value + c2[None, :], mask=there[:, None] & (c2 < channels)[None, :], other=0.0)
        y2 = tl.dot(weight, v2, y2 * shrink[:, None], input_precision="ieee")
    out = out_ptr + frame * pixels * channels + row[:, None] * channels
    y0, y1, y2 = y0 / total[:, None], y1 / total[:, None], y2 / total[:, None]
    tl.store(out + c0[None, :], y0.to(out_ptr.dtype.element_ty), mask=here & (c0 < channels)[None, :])
    tl.store(out + c1[None, :], y1.to(out_ptr.dtype.element_ty), mask=here & (c1 < channels)[None, :])
    tl.store(out + c2[None, :], y2.to(out_ptr.dtype.element_ty), mask=here & (c2 < channels)[None, :])


_tuned = triton.autotune(CONFIGS, key=["pixels", "channels"])(_kernel)


@torch.library.triton_op("flash_vaed::wide_attention", mutates_args={})
def wide_attention(qkv_FPC: Tensor) -> Tensor:
    """Queries, keys and values side by side (F, P, 3 C), C <= 384 -> softmax(Q K' / sqrt C) V (F, P, C)."""
    return launch(torch.library.wrap_triton(_tuned), qkv_FPC)


def launch(kernel: Any, qkv_FPC: Tensor, **block: int) -> Tensor:
    """`wide_attention` by a kernel; block: its sizes, where they are not tuned."""
    F, P, C = qkv_FPC.shape[0], qkv_FPC.shape[1], qkv_FPC.shape[2] // 3
    out = torch.empty(F, P, C, dtype=qkv_FPC.dtype, device=qkv_FPC.device)
    kernel[lambda meta: (triton.cdiv(P, meta["ROWS"]), F)](
        qkv_FPC.contiguous(), out, P, C, SCALE=C**-0.5 * LOG2_E, PART=PART, **block
    )
    return out
