"""One step of a decoder as a graph of fixed shapes: latents and remembered frames in, frames and remembered frames out.

The form that compilers and exporters take. A clip has two of them, of its first latents and of all that follow, because
the first latent skips the temporal upsamplers; neither contains a branch. What is remembered leaves in the order in
memory that the weights have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram

from flash_vaed.decoder import Decoder
from flash_vaed.memory_format import ordered, weights_order
from flash_vaed.operators.onednn import recorded_as
from flash_vaed.runtime.onednn import onednn_convolution
from flash_vaed.state import DecoderState, Stream


@dataclass(frozen=True)
class StepGraph:
    """program: (z_NCthw, *memory) -> (frames_NCTHW in [-1, 1], *memory). slots_in, slots_out: whose memory each is."""

    program: ExportedProgram
    slots_in: tuple[str, ...]
    slots_out: tuple[str, ...]
    frames: int


def step_graph(
    decoder: Decoder, z_NCthw: Tensor, state: DecoderState, last: bool = False, portable: bool = False
) -> StepGraph:
    """The graph of `decoder.step` for latents and a state of these shapes. Weights are part of it.

    portable: PyTorch's own operators only; else a graph for a CPU holds oneDNN's convolution by our name.
    """
    step = _Step(decoder, state.latents_seen, tuple(state.memory), last)
    frames_NCTHW, after = _shapes(step, z_NCthw, state)
    by_hand = not portable and z_NCthw.device.type == "cpu" and torch.backends.mkldnn.is_available()
    with torch.no_grad(), recorded_as(onednn_convolution) if by_hand else contextlib.nullcontext():
        program = torch.export.export(step, (z_NCthw, *state.memory.values()))
    return StepGraph(program, step.slots, tuple(after), frames_NCTHW.shape[2])


def zero_state_behind(decoder: Decoder, z_NCthw: Tensor, state: DecoderState) -> DecoderState:
    """A state like the one behind these latents, full of zeros: for its shapes. Nothing is computed."""
    _, after = _shapes(_Step(decoder, state.latents_seen, tuple(state.memory), False), z_NCthw, state)
    memory = {
        slot: torch.empty_strided(held.shape, held.stride(), dtype=held.dtype, device=held.device).zero_()
        for slot, held in after.items()
    }
    return DecoderState(state.latents_seen + z_NCthw.shape[2], memory)


@torch.no_grad()
def _shapes(step: _Step, z_NCthw: Tensor, state: DecoderState) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Frames and memory of a step as tensors without content."""
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        return step.run(*(fake.from_tensor(tensor) for tensor in (z_NCthw, *state.memory.values())))


class _Step(nn.Module):
    """`Decoder.step` on a flat list of tensors."""

    def __init__(self, decoder: Decoder, latents_seen: int, slots: tuple[str, ...], last: bool) -> None:
        super().__init__()
        self.decoder, self.latents_seen, self.slots, self.last = decoder, latents_seen, slots, last

        self._order = weights_order(decoder)

    def run(self, z_NCthw: Tensor, *memory: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        stream = Stream(DecoderState(self.latents_seen, dict(zip(self.slots, memory, strict=True))), self.last)
        frames_NCTHW = self.decoder.walk(z_NCthw, stream).clamp(-1, 1)
        after = stream.after(self.latents_seen + z_NCthw.shape[2]).memory
        return frames_NCTHW, {slot: ordered(held, self._order) for slot, held in after.items()}

    def forward(self, z_NCthw: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        frames_NCTHW, after = self.run(z_NCthw, *memory)
        return frames_NCTHW, *after.values()
