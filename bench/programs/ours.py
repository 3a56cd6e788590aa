"""This project's decoder, with any runtime options."""

from __future__ import annotations

import torch

from bench.placement import optimized
from bench.programs.base import PROGRAMS, Program, Running
from bench.spec import Arm
from flash_vaed import Decoder


@PROGRAMS.register("ours")
class Ours(Program):
    def start(self, arm: Arm, decoder: Decoder, seed: int, device: torch.device) -> Running:
        fast, chunk = optimized(decoder, device, arm.runtime), arm.runtime.chunk
        return Running(
            decode=lambda z_NCthw: fast.decode(z_NCthw, chunk=chunk, expect=None),
            first=lambda z_NCthw: fast.step(z_NCthw[:, :, :1], fast.init_state()),
            decoder=fast,
        )
