"""One loop for clips, streams and files: step by step, stepping down where the memory does not suffice.

A step that ran out of memory has changed nothing: the state is a value. The latents it was given are decoded again in
smaller pieces, and all that follow too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flash_vaed.decoding.heap import freed_at_once
from flash_vaed.decoding.plan import DecodePlan, plan_of
from flash_vaed.decoding.tiles import cut_of, step_in_tiles, tiles_of
from flash_vaed.state import DecoderState

if TYPE_CHECKING:
    from flash_vaed.decoder import Decoder


def decode_clip(decoder: Decoder, z_NCthw: Tensor, plan: DecodePlan) -> Tensor:
    """A clip's frames (N, 3, T, H, W) in [-1, 1]; the memory they fill is allocated once."""
    total, done = decoder.spec.frames_out(z_NCthw.shape[2]), 0
    clip_NCTHW: Tensor | None = None
    for frames_NCTHW in decode_stream(decoder, [z_NCthw], plan.chunk, plan.tile, plan.thrifty):
        N, C, T, H, W = frames_NCTHW.shape
        if total == T:
            return frames_NCTHW
        if clip_NCTHW is None:
            clip_NCTHW = frames_NCTHW.new_empty(N, C, total, H, W)
        clip_NCTHW[:, :, done : done + T] = frames_NCTHW
        done += T
        del frames_NCTHW  # not to be held during the next step
    assert clip_NCTHW is not None
    return clip_NCTHW


def decode_stream(
    decoder: Decoder,
    z_chunks: Iterable[Tensor],
    chunk: int | None = None,
    tile: int | tuple[int, int] | None = None,
    thrifty: bool = False,
) -> Iterator[Tensor]:
    """Frames (N, 3, T, H, W) in [-1, 1] of a clip of any length, as soon as they are known.

    z_chunks: latents (N, C, t, h, w) in their order, as many at a time as you have; one piece is read ahead to know
    where the clip ends. chunk: decode at most so many latents at once. tile: side of a tile in latent pixels, or (rows,
    columns). Chunks and tiles change nothing but rounding. thrifty: on a CPU give freed memory back at once, for lower
    peaks and some time (with tiles always; see `heap.py`). When memory runs out the plan becomes smaller, with a
    warning; at the last one the error is raised.
    """
    plan, state = plan_of(chunk, tile), decoder.init_state()
    for z_NCthw, ends in _with_end(z_chunks):
        decoder.check(z_NCthw)
        t, done = z_NCthw.shape[2], 0
        while done < t:
            z_step = z_NCthw[:, :, done : done + (plan.chunk or t)]
            behind = done + z_step.shape[2]
            try:
                with freed_at_once(z_step.device, wanted=thrifty or plan.tile is not None):
                    frames_NCTHW, state = planned_step(decoder, z_step, state, plan, last=ends and behind == t)
            except (RuntimeError, MemoryError) as error:
                smaller = plan.smaller(*z_step.shape[2:]) if is_out_of_memory(error) else None
                if smaller is None:
                    raise
            else:
                done = behind
                if frames_NCTHW.shape[2]:
                    yield frames_NCTHW
                del frames_NCTHW
                continue
            # the error is gone by now, and with it the tensors its traceback held
            warnings.warn(f"out of memory with {plan}; going on with {smaller}", RuntimeWarning, stacklevel=2)
            plan = smaller
            if z_NCthw.device.type == "cuda":
                torch.cuda.empty_cache()


def planned_step(
    decoder: Decoder, z_NCthw: Tensor, state: DecoderState, plan: DecodePlan, last: bool = False
) -> tuple[Tensor, DecoderState]:
    """`Decoder.step`, in the plan's tiles where there is more than one."""
    h, w = z_NCthw.shape[3:]
    if plan.tile is None or (plan.tile[0] >= h and plan.tile[1] >= w):
        return decoder.step(z_NCthw, state, last)
    cut = cut_of(decoder)
    return step_in_tiles(decoder, z_NCthw, state, cut, tiles_of(cut, h, w, plan.tile), last)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the GPU or in PyTorch's allocator for the CPU, which has no error of its own."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    said = str(error)
    return any(words in said for words in ("not enough memory", "can't allocate memory", "out of memory"))


def _with_end(z_chunks: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Each chunk, and whether it is the last one."""
    chunks = iter(z_chunks)
    current = next(chunks, None)
    while current is not None:
        following = next(chunks, None)
        yield current, following is None
        current = following
