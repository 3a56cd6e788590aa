"""A decoder that computes the way it was told to: `optimize(decoder, options)`.

Legend: N batch, C channels, t h w latent sizes, T frames, H W pixels.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.memory_format import ordered, put_channels_last, weights_order
from flash_vaed.runtime.compiled import CompiledStep
from flash_vaed.runtime.cuda_graph import CudaRecorder, GraphedSteps
from flash_vaed.runtime.options import RuntimeOptions
from flash_vaed.runtime.rewrites import REWRITES
from flash_vaed.state import DecoderState

FlatStep = Callable[..., tuple[Tensor, dict[str, Tensor]]]  # (z_NCthw, memory) -> frames, memory


def optimize(decoder: Decoder, options: RuntimeOptions) -> FastDecoder:
    """A copy of `decoder`, where it is, that computes as `options` say; `decoder` itself is not changed.

    Compiling happens on the first call with a shape: of a clip's first latents, and of those that follow. What cannot
    be had here (CUDA graphs without a GPU) is a `ValueError`.
    """
    return FastDecoder(decoder, options)


class FastDecoder(Decoder):
    """Takes and gives what a `Decoder` does, frames in the dtype of the options.

    places: how often each rewrite applied. With CUDA graphs a state is overwritten by the step after the next one.
    """

    def __init__(self, decoder: Decoder, options: RuntimeOptions) -> None:
        nn.Module.__init__(self)  # the parts come from `decoder` instead of being built anew
        copied = copy.deepcopy(decoder).eval().requires_grad_(False)
        self.places = {name: REWRITES.get(name)(copied) for name in options.rewrites}
        copied.to(options.torch_dtype)
        if options.channels_last:
            put_channels_last(copied)
        self.spec, self.options = decoder.spec, options
        self.entry, self.stages, self.head = copied.entry, copied.stages, copied.head
        if options.cuda_graph and self.device.type != "cuda":
            raise ValueError(f"CUDA graphs need a CUDA device, and this decoder is on {self.device.type}")
        self._record = CudaRecorder() if options.cuda_graph else None
        self._order = weights_order(copied)
        self._steps: dict[object, FlatStep] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @torch.no_grad()
    def step(self, z_NCthw: Tensor, state: DecoderState, last: bool = False) -> tuple[Tensor, DecoderState]:
        """As `Decoder.step`; latents of any floating dtype."""
        self.check(z_NCthw)
        z_NCthw = ordered(z_NCthw.to(self.options.torch_dtype), self._order)
        if not self.options.cuda_graph:
            memory = {slot: ordered(held, self._order) for slot, held in state.memory.items()}
            state = dataclasses.replace(state, memory=memory)
        with torch.autocast(self.device.type, enabled=False):
            if self.options.compile is None and not self.options.cuda_graph:
                return super().step(z_NCthw, state, last)
            if state.ended:
                raise ValueError("this stream has ended; start a new one with init_state()")
            told = last and (self.spec.looks_ahead or state.latents_seen == 0)  # else the last is as any other
            frames_NCTHW, memory = self._step_for(z_NCthw, state, told)(z_NCthw, state.memory)
        return frames_NCTHW, DecoderState(state.latents_seen + z_NCthw.shape[2], {} if last else memory, last)

    def _step_for(self, z_NCthw: Tensor, state: DecoderState, last: bool) -> FlatStep:
        """The step for latents and a state of these shapes, made when it is first needed."""
        shapes = tuple((slot, tuple(held.shape)) for slot, held in state.memory.items())
        key = (tuple(z_NCthw.shape), state.latents_seen == 0, last, shapes)
        if key not in self._steps:
            mode = self.options.compile
            step: FlatStep
            step = self._plain(state, last) if mode is None else CompiledStep(self, z_NCthw, state, last, mode)
            if self._record is not None:
                step = GraphedSteps(step, z_NCthw, state.memory, self._record)
            self._steps[key] = step
        return self._steps[key]

    def _plain(self, state: DecoderState, last: bool) -> FlatStep:
        seen = state.latents_seen

        def step(z_NCthw: Tensor, memory: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            frames_NCTHW, after = Decoder.step(self, z_NCthw, DecoderState(seen, memory), last)
            return frames_NCTHW, dict(after.memory)

        return step
