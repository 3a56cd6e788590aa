"""A 3x3 or 3x3x3 convolution of few channels with what stands around it: shortcut, bias, norm and SiLU, in one kernel.

A student's last stages have 12 and 24 channels at full resolution: reading and writing them is all their cost, and
cuDNN, made for channels by the dozen, gets a tenth of the memory's rate. Here a program makes all output channels of a
tile of pixels, so that the norm over channels needs no pass of its own. It walks down the rows and loads each of them
once: the clip lies channels last, so the three neighbours of a pixel lie side by side and are one factor of three
matrix products, for the row above, the row itself and the row below.

Legend: N batch, I O input and output channels, S channels of the shortcut, T frames, H W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

WIDEST = 32  # channels
LEAST = 16  # side of a product on tensor cores
CONFIGS = [
    triton.Config({"PIXELS": pixels, "ROWS": rows}, num_warps=4) for pixels, rows in ((64, 16), (128, 16), (64, 32))
]


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]
    clip_ptr, taps_ptr, bias_ptr, side_ptr, mix_ptr, gain_ptr, out_ptr, frames, height, width,
    TIME: tl.constexpr, INS: tl.constexpr, OUTS: tl.constexpr, SIDES: tl.constexpr, IN_SIDE: tl.constexpr,
    OUT_SIDE: tl.constexpr, SIDE_SIDE: tl.constexpr, ROOT: tl.constexpr, ACTIVATED: tl.constexpr,
    PIXELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    x, o = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), tl.arange(0, OUT_SIDE)
    begin, frame = tl.program_id(1) * ROWS, tl.program_id(2)
    plane, made = height * width, (o < OUTS)[None, :]
    clip = clip_ptr + (frame // frames * (frames + TIME - 1) + frame % frames).to(tl.int64) * plane * INS
    here = frame.to(tl.int64) * plane
    e, s = tl.arange(0, IN_SIDE), tl.arange(0, SIDE_SIDE)
    across = x[:, None] * INS + e[None, :] - INS  # a row's channels, pixel by pixel, from the left neighbour's on
    known = (across >= 0) & (across < width * INS) & (e < 3 * INS)[None, :]
    tap, taken = e[:, None] * OUTS + o[None, :], (e < 3 * INS)[:, None] & made
    bias = tl.load(bias_ptr + o, mask=o < OUTS, other=0.0).to(tl.float32)[None, :]
    jump: tl.constexpr = 3 * INS * OUTS  # from the taps of a row to those of the next
    above = tl.load(taps_ptr + tap, mask=taken, other=0.0)
    level = tl.load(taps_ptr + jump + tap, mask=taken, other=0.0)
    below = tl.load(taps_ptr + 2 * jump + tap, mask=taken, other=0.0)
    if TIME == 3:
        above1 = tl.load(taps_ptr + 3 * jump + tap, mask=taken, other=0.0)
        level1 = tl.load(taps_ptr + 4 * jump + tap, mask=taken, other=0.0)
        below1 = tl.load(taps_ptr + 5 * jump + tap, mask=taken, other=0.0)
        above2 = tl.load(taps_ptr + 6 * jump + tap, mask=taken, other=0.0)
        level2 = tl.load(taps_ptr + 7 * jump + tap, mask=taken, other=0.0)
        below2 = tl.load(taps_ptr + 8 * jump + tap, mask=taken, other=0.0)
    upper = tl.zeros((PIXELS, OUT_SIDE), dtype=tl.float32)  # what rows above have brought to the row at hand
    lower = tl.zeros((PIXELS, OUT_SIDE), dtype=tl.float32)  # and to the one below
    for step in range(ROWS + 2):
        row = begin + step - 1
        rows = x * 0 + row
        there = known & ((rows >= 0) & (rows < height))[:, None]
        source = clip + tl.cast(row * width, tl.int64) * INS + across
        value = tl.load(source, mask=there, other=0.0)
        total = tl.dot(value, below, upper, input_precision="ieee")
        following = tl.dot(value, level, lower, input_precision="ieee")
        later = tl.dot(value, above, input_precision="ieee")
        if TIME == 3:
            value = tl.load(source + plane * INS, mask=there, other=0.0)
            total = tl.dot(value, below1, total, input_precision="ieee")
            following = tl.dot(value, level1, following, input_precision="ieee")
            later = tl.dot(value, above1, later, input_precision="ieee")
            value = tl.load(source + 2 * plane * INS, mask=there, other=0.0)
            total = tl.dot(value, below2, total, input_precision="ieee")
            following = tl.dot(value, level2, following, input_precision="ieee")
            later = tl.dot(value, above2, later, input_precision="ieee")
        upper, lower = following, later
        inside = (x < width) & (rows > begin) & (rows <= height)
        place = here + (row - 1) * width + x
        if SIDES:
            side = side_ptr + place[:, None] * SIDES + s[None, :]
            value = tl.load(side, mask=inside[:, None] & (s < SIDES)[None, :], other=0.0)
            mix = mix_ptr + s[:, None] * OUTS + o[None, :]
            mix = tl.load(mix, mask=(s < SIDES)[:, None] & made, other=0.0)
            total = tl.dot(value, mix, total, input_precision="ieee")
        total += bias
        if ACTIVATED:
            length = tl.sqrt(tl.maximum(tl.sum(total * total, 1), 1e-24))
            gain = tl.load(gain_ptr + o, mask=o < OUTS, other=0.0).to(tl.float32)
            total = total * (ROOT / length)[:, None] * gain[None, :]
            total = total / (1 + tl.exp(-total))
        target = out_ptr + place[:, None] * OUTS + o[None, :]
        tl.store(target, total.to(out_ptr.dtype.element_ty), mask=inside[:, None] & made)


_tuned = triton.autotune(CONFIGS, key=["frames", "height", "width"])(_kernel)


@torch.library.triton_op("flash_vaed::narrow_convolution", mutates_args={})
def narrow_convolution(
    clip_NCTHW: Tensor, taps: Tensor, bias_O: Tensor, side_NCTHW: Tensor | None, mix_SO: Tensor | None,
    gain_O: Tensor | None,
) -> Tensor:  # fmt: skip
    """(N, I, T + t - 1, H, W) by taps (t, 9 I, O), t = 1 or 3, zeros around H and W -> (N, O, T, H, W) channels last.

    Taps are ordered by time, row, column, channel.
    side, mix: a clip (N, S, T, H, W) whose pointwise mix is added. gain: what is made is scaled to mean square one over
    channels, times the gain, and goes through SiLU. At most 32 channels each.
    """
    return launch(torch.library.wrap_triton(_tuned), clip_NCTHW, taps, bias_O, side_NCTHW, mix_SO, gain_O)


def launch(
    kernel: Any, clip_NCTHW: Tensor, taps: Tensor, bias_O: Tensor, side_NCTHW: Tensor | None, mix_SO: Tensor | None,
    gain_O: Tensor | None, **block: int,
) -> Tensor:  # fmt: skip
    """`narrow_convolution` by a kernel; block: its sizes, where they are not tuned."""
    N, I, longer, H, W = clip_NCTHW.shape  # noqa: E741
    time, O = taps.shape[0], taps.shape[-1]  # noqa: E741
    T, S = longer - time + 1, 0 if side_NCTHW is None else side_NCTHW.shape[1]
    clip = clip_NCTHW.permute(0, 2, 3, 4, 1).contiguous()
    side = clip if side_NCTHW is None else side_NCTHW.permute(0, 2, 3, 4, 1).contiguous()
    out = torch.empty(N, T, H, W, O, dtype=clip.dtype, device=clip.device)
    kernel[lambda meta: (triton.cdiv(W, meta["PIXELS"]), triton.cdiv(H, meta["ROWS"]), N * T)](
        clip, taps, bias_O, side, taps if mix_SO is None else mix_SO, bias_O if gain_O is None else gain_O, out,
        T, H, W, TIME=time, INS=I, OUTS=O, SIDES=S, IN_SIDE=_side(3 * I), OUT_SIDE=_side(O), SIDE_SIDE=_side(S),
        ROOT=O**0.5, ACTIVATED=gain_O is not None, **block,
    )  # fmt: skip
    return out.permute(0, 4, 1, 2, 3)


def _side(channels: int) -> int:
    return max(LEAST, 1 << (channels - 1).bit_length()) if channels else LEAST
