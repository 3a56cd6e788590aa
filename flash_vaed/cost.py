"""What a decoder costs, counted from its spec alone: nothing is allocated and no weight is needed.

The spec is built on PyTorch's meta device and run there under `torch.utils.flop_counter`, so the count follows the very
code that decodes. One multiply-accumulate (MAC) is two FLOP; norms, activations and additions are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from flash_vaed.decoder import Decoder
from flash_vaed.spec import DecoderSpec
from flash_vaed.state import DecoderState


@dataclass(frozen=True)
class PartCost:
    """Parameters of one part, its multiply-accumulates per output frame of the clip, and its share of the state."""

    parameters: int
    macs_per_frame: float
    state_bytes: int


@dataclass(frozen=True)
class DecoderCost:
    """Totals of a decoder for one clip shape; `parts` holds the entry, every stage and the head by name."""

    parameters: int
    macs_per_frame: float
    state_bytes: int
    parts: dict[str, PartCost]


def decoder_cost(spec: DecoderSpec, frames: int, height: int, width: int) -> DecoderCost:
    """Cost of decoding one clip of `frames` frames, `height` x `width` pixels, in float32.

    state_bytes: what the decoder remembers between chunks, once every stage has begun. Sizes that the latent
    grid cannot give are a `ValueError`.
    """
    z_shape = (1, spec.latents.channels, *spec.latent_shape(frames, height, width))
    with torch.device("meta"):
        decoder = Decoder(spec)
        counter = FlopCounterMode(display=False)
        with counter:
            decoder(torch.empty(z_shape))
        state = _filled(decoder, torch.empty(z_shape))
    parts = {"entry": decoder.entry, **decoder.stages, "head": decoder.head}
    paths = {name: f"Decoder.stages.{name}" for name in decoder.stages}
    paths |= {"entry": "Decoder.entry", "head": "Decoder.head"}
    flops = {path: sum(by_kind.values()) for path, by_kind in counter.get_flop_counts().items()}
    costs = {
        name: PartCost(
            parameters=sum(p.numel() for p in part.parameters()),
            macs_per_frame=flops.get(paths[name], 0) / 2 / frames,
            state_bytes=_state_bytes(state, paths[name].removeprefix("Decoder.")),
        )
        for name, part in parts.items()
    }
    return DecoderCost(
        parameters=sum(cost.parameters for cost in costs.values()),
        macs_per_frame=counter.get_total_flops() / 2 / frames,
        state_bytes=state.nbytes(),
        parts=costs,
    )


def _filled(decoder: Decoder, z_NCthw: Tensor) -> DecoderState:
    """The state behind a first chunk; a decoder that looks ahead gets more of them, until its frames keep pace."""
    frames, state = decoder.step(z_NCthw, decoder.init_state())
    if frames.shape[2] < decoder.spec.frames_out(z_NCthw.shape[2]):
        while frames.shape[2] < decoder.spec.temporal_scale * z_NCthw.shape[2]:
            frames, state = decoder.step(z_NCthw, state)
    return state


def _state_bytes(state: DecoderState, path: str) -> int:
    slots = {slot: frames for slot, frames in state.memory.items() if f"{slot}.".startswith(f"{path}.")}
    return DecoderState(memory=slots).nbytes()
