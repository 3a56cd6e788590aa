"""A step through `torch.compile`: one graph, fixed shapes, compiled once.

A decoder calls the same few functions with dozens of layer shapes, which exhausts the compiler's limit of variants and
then silently runs uncompiled. So a step is recorded first and compiled as a graph of its own, and compiling it a second
time is an error.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.runtime.graph import step_graph
from flash_vaed.state import DecoderState


class CompiledStep:
    """`(z_NCthw, memory) -> (frames_NCTHW, memory)` for latents and a state of the shapes it was made with."""

    def __init__(self, decoder: Decoder, z_NCthw: Tensor, state: DecoderState, last: bool, mode: str) -> None:
        graph = step_graph(decoder, z_NCthw, state, last)
        self._slots_in, self._slots_out = graph.slots_in, graph.slots_out
        module = graph.program.module(check_guards=False)
        self._step = torch.compile(module, fullgraph=True, dynamic=False, mode=None if mode == "default" else mode)
        self._step(z_NCthw, *state.memory.values())  # compiles; from here on that is an error

    def __call__(self, z_NCthw: Tensor, memory: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.compiler.set_stance("fail_on_recompile"):
            frames_NCTHW, *after = self._step(z_NCthw, *(memory[slot] for slot in self._slots_in))
        return frames_NCTHW, dict(zip(self._slots_out, after, strict=True))
