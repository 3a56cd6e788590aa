"""What a decoder costs, counted from its spec alone: nothing is allocated and no weight is needed.

The spec is built on PyTorch's meta device and run there under `torch.utils.flop_counter`, so the count follows the very
code that decodes. One multiply-accumulate (MAC) is two FLOP; norms, activations and additions are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from flash_vaed.decoder import Decoder
from flash_vaed.spec import DecoderSpec


@dataclass(frozen=True)
class PartCost:
    """Parameters of one part and its multiply-accumulates per output frame of the clip."""

    parameters: int
    macs_per_frame: float


@dataclass(frozen=True)
class DecoderCost:
    """Totals of a decoder for one clip shape; `parts` holds the entry, every stage and the head by name."""

    parameters: int
    macs_per_frame: float
    state_bytes: int
    parts: dict[str, PartCost]


def decoder_cost(spec: DecoderSpec, frames: int, height: int, width: int) -> DecoderCost:
    """Cost of decoding one clip of `frames` frames, `height` x `width` pixels, in float32.

    state_bytes: what the decoder remembers between chunks. Sizes that the latent grid cannot give are a `ValueError`.
    """
    z_shape = (1, spec.latents.channels, *spec.latent_shape(frames, height, width))
    with torch.device("meta"):
        decoder = Decoder(spec)
        counter = FlopCounterMode(display=False)
        with counter:
            decoder(torch.empty(z_shape))
        _, state = decoder.step(torch.empty(z_shape), decoder.init_state())
    parts = decoder.parts()
    paths = {name: f"Decoder.stages.{name}" for name in decoder.stages}
    paths |= {"entry": "Decoder.entry", "head": "Decoder.head"}
    flops = {path: sum(by_kind.values()) for path, by_kind in counter.get_flop_counts().items()}
    costs = {
        name: PartCost(sum(p.numel() for p in part.parameters()), flops.get(paths[name], 0) / 2 / frames)
        for name, part in parts.items()
    }
    return DecoderCost(
        parameters=sum(cost.parameters for cost in costs.values()),
        macs_per_frame=counter.get_total_flops() / 2 / frames,
        state_bytes=state.nbytes(),
        parts=costs,
    )
