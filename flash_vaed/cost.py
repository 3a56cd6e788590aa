"""What a decoder costs, counted from its spec alone: nothing is allocated and no weight is needed.

The spec is built on PyTorch's meta device and run there, so the count follows the very code that decodes. One
multiply-accumulate (MAC) is two FLOP; norms, activations and additions are not counted. Memory traffic is a floor: what
remains if everything between two convolutions is computed where it is used (`_Traffic`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakTensorKeyDictionary

from flash_vaed.decoder import Decoder
from flash_vaed.spec import DecoderSpec
from flash_vaed.state import Stream


@dataclass(frozen=True)
class PartCost:
    """Parameters of one part; its multiply-accumulates and the bytes it must move, per output frame of the clip; what
    it remembers between chunks.
    """

    parameters: int
    macs_per_frame: float
    min_bytes_per_frame: float
    state_bytes: int


@dataclass(frozen=True)
class DecoderCost:
    """Totals of a decoder for one clip shape; `parts` holds the entry, every stage and the head by name."""

    parameters: int
    macs_per_frame: float
    min_bytes_per_frame: float
    state_bytes: int
    parts: dict[str, PartCost]


def decoder_cost(spec: DecoderSpec, frames: int, height: int, width: int, element_bytes: int = 2) -> DecoderCost:
    """Cost of decoding one clip of `frames` frames, `height` x `width` pixels.

    element_bytes: of a number in weights, activations and state; 2 for 16 bit, 4 for float32. min_bytes_per_frame:
    what convolutions and attention read and write, and the weights once for every latent. state_bytes: what the decoder
    remembers in the middle of a stream, whatever its length. Sizes that the latent grid cannot give are a `ValueError`.
    """
    latents = spec.latent_shape(frames, height, width)
    with torch.device("meta"):
        decoder, z_NCthw = Decoder(spec), torch.empty(1, spec.latents.channels, *latents)
    x, stream, costs = z_NCthw, Stream.fresh(), {}
    remembered = _remembered(decoder, *latents[1:])
    for name, part in decoder.parts().items():
        flops, traffic = FlopCounterMode(display=False), _Traffic()
        with torch.no_grad(), flops, traffic:
            x = part(x, stream)
        parameters = sum(parameter.numel() for parameter in part.parameters())
        moved = traffic.elements + parameters * latents[0]
        macs, path = flops.get_total_flops() / 2, f"stages.{name}" if name in decoder.stages else name
        held = sum(elements for slot, elements in remembered.items() if f"{slot}.".startswith(f"{path}."))
        costs[name] = PartCost(parameters, macs / frames, moved * element_bytes / frames, held * element_bytes)
    return DecoderCost(
        parameters=sum(cost.parameters for cost in costs.values()),
        macs_per_frame=sum(cost.macs_per_frame for cost in costs.values()),
        min_bytes_per_frame=sum(cost.min_bytes_per_frame for cost in costs.values()),
        state_bytes=sum(cost.state_bytes for cost in costs.values()),
        parts=costs,
    )


def _remembered(decoder: Decoder, h: int, w: int) -> dict[str, int]:
    """Elements per slot of a state that is full: of a stream that has begun to give frames, however far it looks
    ahead.
    """
    latents = 1
    while True:
        z_NCthw = torch.empty(1, decoder.spec.latents.channels, latents, h, w, device="meta")
        frames, state = decoder.step(z_NCthw, decoder.init_state())
        if frames.numel():
            return {slot: remembered.numel() for slot, remembered in state.memory.items()}
        latents *= 2


class _Traffic(TorchFunctionMode):
    """Elements that convolutions and attention move, each reading its input once and writing its output once.

    Whatever lies between them is taken to happen where its result is read. So what reads an enlarged tensor reads the
    small one, a depthwise convolution and the mix of channels behind it are one, and a sum reads its second term only.
    A 1x1x1 convolution that keeps the width and ends in a sum is computed there too; one that changes it is a
    convolution of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0
        # elements to read instead of the tensor's own, where it is not stored; negative: a write that falls away too
        self._reads = WeakTensorKeyDictionary()
        self._term = WeakTensorKeyDictionary()  # elements that a sum of this tensor adds, where that is not a read

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.conv2d, torch.conv3d):
            self._convolution(args[0], args[1], result)
        elif func is F.scaled_dot_product_attention:
            self.elements += sum(tensor.numel() for tensor in args[:3]) + result.numel()
        elif func in (F.interpolate, Tensor.repeat_interleave):
            self._reads[result] = args[0].numel()
        elif func in (Tensor.reshape, Tensor.permute, Tensor.__getitem__) and args[0] in self._reads:
            self._reads[result] = self._reads[args[0]]
        elif func in (Tensor.add, Tensor.add_) and isinstance(args[1], Tensor):
            self.elements += self._term.get(args[1], self._reads.get(args[1], args[1].numel()))
        return result

    def _convolution(self, x: Tensor, weight: Tensor, result: Tensor) -> None:
        channels, positions = x.shape[1], result.numel() // result.shape[1]
        read = self._reads.get(x, channels * positions)
        self.elements += read + result.numel()
        if weight.shape[1] == 1 < channels:  # depthwise: not written after all where a mix of channels reads it
            self._reads[result] = -result.numel()
        elif weight.shape[0] == channels and weight[0, 0].numel() == 1:
            self._term[result] = -result.numel()  # not written after all
