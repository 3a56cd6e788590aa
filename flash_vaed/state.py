"""The decoder's memory between chunks, as a value.

A temporal convolution needs frames of its own input that an earlier chunk brought. They live here, keyed by module
path, never on a module: two streams can share one decoder, and an exception leaves no stale cache behind.

A decoder that looks ahead (LTX-Video) streams too: each convolution holds its last frames back until the next chunk
shows what follows them, and gives them up when the stream ends. Slower branches are waited for. The frames are those of
the whole clip, only later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flash_vaed.memory_format import in_time, order_of


@dataclass(frozen=True)
class DecoderState:
    """What `step` takes and returns: how many latents were decoded, and the remembered frames per module path.

    ended: the stream was told that no more latents follow; then it remembers nothing.
    """

    latents_seen: int = 0
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    ended: bool = False

    def nbytes(self) -> int:
        """Bytes held by the remembered frames."""
        return sum(frames.numel() * frames.element_size() for frames in self.memory.values())


class Stream:
    """One step's view of a state: modules read the past from it and leave what the next step needs.

    first: these are the clip's first latents. last: they are its last. future: what this step leaves for the next one;
    nothing where none follows.
    """

    def __init__(self, state: DecoderState, last: bool = False) -> None:
        if state.ended:
            raise ValueError("this stream has ended; start a new one with init_state()")
        self.first, self.last = state.latents_seen == 0, last
        self._past = state.memory
        self.future: dict[str, Tensor] = {}

    @classmethod
    def fresh(cls) -> Stream:
        """The view of a whole clip."""
        return cls(DecoderState(), last=True)

    def extend(self, slot: str, x_NCTHW: Tensor, frames: int, time: str = "causal_zero") -> Tensor:
        """x with the `frames` neighbours in time that a convolution of `frames` + 1 taps needs; remembers the new tail.

        time: the rule at the clip's ends, one of `spec.TIMES`. A centred convolution gets half its neighbours from the
        future: what comes back then allows as many outputs as are known already. A state of another decoder, batch or
        frame size is a `ValueError`.
        """
        ahead = frames // 2 if time == "centred_replicate" else 0
        past = self._before(slot, x_NCTHW, frames, ahead, time)
        extended = in_time(past, x_NCTHW)
        whole = x_NCTHW if x_NCTHW.shape[2] >= frames else extended  # whoever computes x can then write its tail too
        self._remember(slot, whole[:, :, -frames:])
        if self.last and ahead:
            extended = in_time(extended, *[extended[:, :, -1:]] * ahead)
        return extended

    def recall(self, slot: str, x_NCTHW: Tensor, frames: int) -> Tensor:
        """The `frames` frames in front of x, by themselves, for a kernel that reads the two where they lie; remembers
        as `extend` does. Zeros lie in front of a clip.
        """
        past = self._before(slot, x_NCTHW, frames, 0, "causal_zero")
        whole = x_NCTHW if x_NCTHW.shape[2] >= frames else in_time(past, x_NCTHW)
        self._remember(slot, whole[:, :, -frames:])
        return past

    def release(self, slot: str, x_NCTHW: Tensor, frames: int) -> Tensor:
        """The oldest `frames` frames seen at `slot` and not released yet: x itself unless another branch is slower."""
        held = None if self.first else self._past.get(slot)
        queue = x_NCTHW if held is None else in_time(held, x_NCTHW)
        if held is not None or queue.shape[2] > frames:
            self._remember(slot, queue[:, :, frames:])
        return queue[:, :, :frames]

    def begins(self, slot: str, x_NCTHW: Tensor) -> bool:
        """Whether the first frames of the clip pass `slot` in this step."""
        if x_NCTHW.shape[2] == 0 or (not self.first and slot in self._past):
            return False
        self._remember(slot, x_NCTHW.new_zeros(0))
        return True

    def after(self, latents_seen: int) -> DecoderState:
        """The state behind this step."""
        return DecoderState(latents_seen, {} if self.last else {**self._past, **self.future}, self.last)

    def _remember(self, slot: str, frames_NCTHW: Tensor) -> None:
        """Keep a copy with the strides of a tensor of this size; a slice would keep the whole activation alive."""
        if not self.last:
            self.future[slot] = frames_NCTHW.clone(memory_format=order_of(frames_NCTHW))

    def _before(self, slot: str, x_NCTHW: Tensor, frames: int, ahead: int, time: str) -> Tensor:
        """What lies in front of x: what a step before left, or the clip's border."""
        past = x_NCTHW[:, :, :0] if self.first else self._remembered(slot, x_NCTHW, frames)
        return past if past.shape[2] else _border(x_NCTHW, frames - ahead, time)

    def _remembered(self, slot: str, x_NCTHW: Tensor, frames: int) -> Tensor:
        N, C, _, H, W = x_NCTHW.shape
        past = self._past.get(slot)
        if past is None or past.shape[2] > frames or past[:, :, :0].shape != (N, C, 0, H, W):
            held = "nothing" if past is None else tuple(past.shape)
            raise ValueError(f"not this stream's state: it holds {held} at {slot}, not {(N, C, frames, H, W)}")
        return past


def _border(x_NCTHW: Tensor, frames: int, time: str) -> Tensor:
    """What lies in front of a clip that begins with x: zeros, or its first frame (as soon as there is one)."""
    if time == "causal_zero":
        N, C, _, H, W = x_NCTHW.shape
        order = order_of(x_NCTHW)
        return torch.empty(N, C, frames, H, W, dtype=x_NCTHW.dtype, device=x_NCTHW.device, memory_format=order).zero_()
    return x_NCTHW[:, :, :1].repeat(1, 1, frames, 1, 1)
