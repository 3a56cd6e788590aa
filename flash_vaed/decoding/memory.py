"""How much memory a decode will take, found by running the very code that decodes on tensors without contents.

PyTorch's fake tensors have shapes, dtypes and devices but no storage; a decode with them takes milliseconds at any
size. What is alive at each moment is added up, and so is what a convolution's library takes beyond its tensors:

- oneDNN (most convolutions on a CPU) copies input and output into its own layout, channels in blocks of sixteen;
- PyTorch's own kernel (the others) unfolds the input, a column per output position;
- on a GPU cuDNN may copy both into its layout. That is an allowance, not measured here.

What glibc's heap adds is not foretold: a decode with a `memory_budget`, or in tiles, does without it (`heap.py`),
unless MALLOC_ variables in the environment say otherwise.
"""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from flash_vaed.decoding.tiles import cut_of, step_in_tiles, tiles_of
from flash_vaed.operators.onednn import is_small_clip
from flash_vaed.state import DecoderState

if TYPE_CHECKING:
    from flash_vaed.decoder import Decoder

BLOCK = 16  # channels that oneDNN keeps together
KERNEL_BYTES = 8_000_000  # code and scratch that a library makes for a convolution of new shape

_CONVOLUTION = torch.ops.aten.convolution.default
_ONEDNN = torch.ops.aten.mkldnn_convolution.default
_LAYER_NORM = torch.ops.aten.native_layer_norm.default
_MEMINFO = Path("/proc/meminfo")


def predicted_bytes(
    decoder: Decoder,
    z_shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
    chunk: int | None = None,
    tile: tuple[int, int] | None = None,
    keep_frames: bool = True,
) -> int:
    """Peak bytes of decoding latents (N, C, t, h, w) on the decoder's device, above its weights and the latents.

    keep_frames: the decoded clip stays in memory (as in `decode`); False for a stream whose frames are given away. Two
    steps are run: one from the middle of the clip, and the last, which is the largest where a decoder looks ahead.
    """
    z_shape = tuple(z_shape)
    steps = _steps(z_shape[2], chunk)
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        shadow = _shadow(decoder, mode)
        z_NCthw = torch.empty(z_shape, dtype=dtype, device=next(shadow.parameters()).device)
        state, peak, begin, given = shadow.init_state(), 0, 0, 0
        for length, counted in steps:
            z_step, last = z_NCthw[:, :, begin : begin + length], begin + length == z_shape[2]
            with LiveBytes(state.memory.values()) as live:
                frames, after = _step(shadow, z_step, state, tile if counted else None, last)
            frame_bytes = frames[:, :, :1].numel() * frames.element_size() if frames.shape[2] else 0
            if counted:
                kept = _kept_frames(decoder, z_NCthw, given) if keep_frames and len(steps) > 1 else 0
                peak = max(peak, live.peak_bytes + kept * frame_bytes)
            state, begin, given = after, begin + length, given + frames.shape[2]
    return peak


def free_bytes(device: torch.device) -> int:
    """What a device has free for this process; a `ValueError` where nobody says (no /proc/meminfo)."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    lines = _MEMINFO.read_text().splitlines() if _MEMINFO.is_file() else []
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise ValueError("this system does not say how much memory is free: give memory_budget in bytes, not 'auto'")


class LiveBytes(TorchDispatchMode):
    """Adds up the storages that operations make, as long as they live; `peak_bytes` is the largest sum.

    Counts the tensors `held` at the start, what is made within the mode, and what a convolution's library takes
    besides.
    """

    def __init__(self, held: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.live_bytes = self.peak_bytes = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        for tensor in held:
            self._watch(tensor.untyped_storage())

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        inputs = {leaf.untyped_storage() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.untyped_storage() not in inputs:
                self._watch(leaf.untyped_storage())
        beyond = _WORKSPACES[func](args, out) if func in _WORKSPACES else 0
        self.peak_bytes = max(self.peak_bytes, self.live_bytes + beyond)
        return out

    def _watch(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._known:
            self._known.add(storage)
            self._count(storage.nbytes())
            weakref.finalize(storage, self._count, -storage.nbytes())

    def _count(self, size_bytes: int) -> None:
        self.live_bytes += size_bytes


def convolution_workspace(args: Sequence[Any], out: Tensor) -> int:
    """Bytes that a convolution takes beyond its input and output tensors, at its peak."""
    x, weight = args[:2]
    size, positions = out.element_size(), math.prod(out.shape[2:])
    if x.device.type == "cuda":
        return x.numel() * size + out.numel() * size
    backend = torch._C._select_conv_backend(*_backend_arguments(args)).name
    rerouted = max(weight.shape[3:]) > 1 and is_small_clip(x)  # by `operators.base.convolve`, to oneDNN
    if not (backend.startswith("Mkldnn") or rerouted):
        taps = math.prod(weight.shape[2:])
        unfolded = x.shape[0] * x.shape[1] * taps * positions * size
        return unfolded if backend.startswith("Slow") and taps > 1 else 0
    return _onednn_workspace(x, weight, out)


def _onednn_workspace(x: Tensor, weight: Tensor, out: Tensor) -> int:
    size = out.element_size()
    blocked_in = x.numel() // x.shape[1] * _blocked(x.shape[1]) * size
    blocked_out = out.numel() // out.shape[1] * _blocked(out.shape[1]) * size
    weights = weight.numel() * size
    # its own input and output before the plain output exists; its own output beside the plain one
    return KERNEL_BYTES + max(blocked_in + weights + blocked_out - out.numel() * size, blocked_out)


def _layer_norm_workspace(args: Sequence[Any], out: Any) -> int:
    """The kernel makes an input contiguous that is not."""
    x = args[0]
    return 0 if x.is_contiguous() else x.numel() * x.element_size()


_WORKSPACES: dict[Any, Callable[[Sequence[Any], Any], int]] = {
    _CONVOLUTION: convolution_workspace,
    _ONEDNN: lambda args, out: _onednn_workspace(args[0], args[1], out),
    _LAYER_NORM: _layer_norm_workspace,
}


def _blocked(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


def _backend_arguments(args: Sequence[Any]) -> tuple[Any, ...]:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args
    sizes = None if bias is None else tuple(bias.shape)
    return x, weight, bias, stride, padding, dilation, transposed, output_padding, groups, sizes


def _kept_frames(decoder: Decoder, z_NCthw: Tensor, given: int) -> int:
    """Frames of the clip in memory during a step: a GPU has room for all of them from the first on, a CPU's pages come
    to be when they are written.
    """
    return given if z_NCthw.device.type == "cpu" else decoder.spec.frames_out(z_NCthw.shape[2])


def _steps(t: int, chunk: int | None) -> list[tuple[int, bool]]:
    """Latents per step and whether it counts: all that came before as one step, a step in the middle, the last one."""
    if chunk is None or chunk >= t:
        return [(t, True)]
    final = t % chunk or chunk
    before = t - final - chunk
    return [(length, counted) for length, counted in ((before, False), (chunk, True), (final, True)) if length]


def _step(
    decoder: Decoder, z_NCthw: Tensor, state: DecoderState, tile: tuple[int, int] | None, last: bool
) -> tuple[Tensor, DecoderState]:
    """One step; of its tiles, that follow one another, any and then the one that reads most, when all results have
    their place.
    """
    if tile is None:
        return decoder.step(z_NCthw, state, last)
    cut = cut_of(decoder)
    h, w = z_NCthw.shape[3:]
    tiles = tiles_of(cut, h, w, tile)
    if len(tiles) == 1:
        return decoder.step(z_NCthw, state, last)
    return step_in_tiles(decoder, z_NCthw, state, cut, [tiles[0], max(tiles, key=lambda t: t.area)], last)


def _shadow(decoder: Decoder, mode: FakeTensorMode) -> Decoder:
    """The decoder with fake weights; the real one is not touched."""
    tensors = [*decoder.parameters(), *decoder.buffers()]
    return copy.deepcopy(decoder, {id(tensor): mode.from_tensor(tensor) for tensor in tensors})
