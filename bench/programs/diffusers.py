"""diffusers' `AutoencoderKLWan`, as it comes: the teacher that everybody runs."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor

from bench.programs.base import PROGRAMS, Program, Running
from bench.spec import Arm
from flash_vaed import Decoder


@PROGRAMS.register("diffusers")
class Diffusers(Program):
    brings = ("wan2.1", "lightvae-wan2.1")

    def unavailable(self) -> str | None:
        if importlib.util.find_spec("diffusers") is None:
            return "diffusers is not installed; get it with: pip install diffusers"
        return None

    def weights(self, decoder: str, seed: int) -> dict[str, Tensor]:
        return dict(self._vae(decoder, seed).state_dict())

    def start(self, arm: Arm, decoder: Decoder, seed: int, device: torch.device) -> Running:
        vae = self._vae(arm.decoder, seed).to(device, getattr(torch, arm.runtime.dtype))

        @torch.no_grad()
        def decode(z_NCthw: Tensor) -> Tensor:
            frames_NCTHW = vae.decode(z_NCthw.to(vae.dtype), return_dict=False)[0]
            assert isinstance(frames_NCTHW, Tensor)
            return frames_NCTHW

        return Running(decode, lambda z_NCthw: decode(z_NCthw[:, :, :1]))

    @staticmethod
    def _vae(decoder: str, seed: int) -> Any:
        from diffusers import AutoencoderKLWan

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            vae: Any = AutoencoderKLWan(base_dim=96 if decoder == "wan2.1" else 24)
        return vae.eval().requires_grad_(False)
