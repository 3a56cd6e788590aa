"""The released Flash-VAED program for Wan 2.1 (Aoko955/Flash-VAED), as it comes: the student as others run it.

Its checkout is named by `paths.flash_vaed_release`; it needs einops. At a clip's 21st latent it forgets its past and
gives a frame instead of four; so later latents are shown to it as a clip's second one, and their frames come out right.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from bench.programs.base import PROGRAMS, Program, Running
from bench.spec import Arm
from flash_vaed import Decoder

FILE = Path("models") / "wan" / "model_hybrid_aggressive.py"
FORGETS_AT = 20  # the place of a clip's 21st latent


@PROGRAMS.register("flash_vaed_release")
class FlashVaedRelease(Program):
    brings = ("flash-vaed-wan2.1",)

    def unavailable(self) -> str | None:
        if self.release is None:
            return "the released Flash-VAED program is not here; paths.flash_vaed_release=CHECKOUT says where it is"
        if not (Path(self.release) / FILE).is_file():
            return f"paths.flash_vaed_release={self.release} has no {FILE}"
        if importlib.util.find_spec("einops") is None:
            return "the released Flash-VAED program needs einops; get it with: pip install einops"
        return None

    def weights(self, decoder: str, seed: int) -> dict[str, Tensor]:
        return dict(self._vae(seed).state_dict())

    def start(self, arm: Arm, decoder: Decoder, seed: int, device: torch.device) -> Running:
        vae, dtype, latents = self._vae(seed).to(device), getattr(torch, arm.runtime.dtype), decoder.latents
        scale = [torch.tensor(latents.mean, device=device), 1 / torch.tensor(latents.std, device=device)]
        mixed = (  # as its own script does it
            contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
        )

        @torch.no_grad()
        def decode(z_NCthw: Tensor) -> Tensor:
            normalized = latents.normalize(z_NCthw)
            with mixed:
                return torch.cat([step(normalized, i) for i in range(z_NCthw.shape[2])], dim=2)

        def step(normalized_NCthw: Tensor, i: int) -> Tensor:
            if i < FORGETS_AT:
                frames: Tensor = vae.decode(i, normalized_NCthw, scale)
            else:
                frames = vae.decode(1, normalized_NCthw[:, :, i - 1 : i + 1], scale)
            return frames

        return Running(decode, lambda z_NCthw: decode(z_NCthw[:, :, :1]))

    def _vae(self, seed: int) -> Any:
        assert self.release is not None
        module = _module(Path(self.release) / FILE)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            vae = module.WanVAE_()
            for name, parameter in vae.named_parameters():
                if name.endswith("proj.weight"):  # zero as it is made, and nothing would be attended to
                    nn.init.xavier_uniform_(parameter)
        return vae.eval().requires_grad_(False)


def _module(path: Path) -> ModuleType:
    name = "flash_vaed_release_wan"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
