"""The decoder's memory between chunks, as a value.

A causal convolution needs the last frames of its own input. They live here, keyed by module path, never on a module:
two streams can share one decoder, and an exception leaves no stale cache behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class DecoderState:
    """What `step` takes and returns: how many latents were decoded, and the remembered frames per module path."""

    latents_seen: int = 0
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    def nbytes(self) -> int:
        """Bytes held by the remembered frames."""
        return sum(frames.numel() * frames.element_size() for frames in self.memory.values())


class Stream:
    """One step's view of a state: modules read the past from it and leave what the next step needs."""

    def __init__(self, state: DecoderState) -> None:
        self.first = state.latents_seen == 0
        self._past = state.memory
        self._future: dict[str, Tensor] = {}

    @classmethod
    def fresh(cls) -> Stream:
        """The view in front of a clip's first latent."""
        return cls(DecoderState())

    def extend(self, slot: str, x_NCTHW: Tensor, frames: int) -> Tensor:
        """Put the last `frames` frames seen at `slot` in front of x (zeros at the start) and remember the new tail.

        A state of another decoder, batch or frame size is a `ValueError`.
        """
        N, C, _, H, W = x_NCTHW.shape
        past = x_NCTHW.new_zeros(N, C, frames, H, W) if self.first else self._past.get(slot)
        if past is None or past.shape != (N, C, frames, H, W):
            held = "nothing" if past is None else tuple(past.shape)
            raise ValueError(f"not this stream's state: it holds {held} at {slot}, not {(N, C, frames, H, W)}")
        extended = torch.cat([past, x_NCTHW], dim=2)
        self._future[slot] = extended[:, :, -frames:].clone()  # a slice would keep the whole activation alive
        return extended

    def after(self, latents_seen: int) -> DecoderState:
        """The state behind this step."""
        return DecoderState(latents_seen, {**self._past, **self._future})
