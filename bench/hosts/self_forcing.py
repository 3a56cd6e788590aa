"""Self-Forcing (guandeh17/Self-Forcing): its causal pipeline, from a checkout with its weights (`self_forcing.root`).

The checkout is no package: its folder becomes the working directory of the run's process, as its files are found
relative to that. `host.model` names the checkpoint in it. Needs a CUDA device.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from bench.hosts.base import HOSTS, Host, Setup
from flash_vaed import Decoder, load_decoder
from flash_vaed.families.wan import WAN21_LATENTS
from flash_vaed.hosts.self_forcing import install, uninstall
from flash_vaed.spec import LatentSpace

MODEL = "checkpoints/self_forcing_dmd.pt"
CONFIG = "configs/self_forcing_dmd.yaml"
BASE = Path("wan_models") / "Wan2.1-T2V-1.3B"
VAE = BASE / "Wan2.1_VAE.pth"
BLOCK = 3  # latents that are denoised together
LATENT_SIDES = (60, 104)  # of 480 x 832 pixels; its attention is written for no other


class Undecoded(nn.Module):
    """In the VAE's place while only latents are wanted."""

    def decode_to_pixel(self, latent: Tensor, use_cache: bool = False) -> Tensor:
        return latent.new_zeros(())


@HOSTS.register("self_forcing")
class SelfForcing(Host):
    """Around a `CausalInferencePipeline`. vae_file: its own decoder's weights."""

    streams = True

    def __init__(
        self, pipe: Any, setup: Setup, vae_file: Path, dtype: torch.dtype = torch.bfloat16,
        space: LatentSpace = WAN21_LATENTS,
    ) -> None:  # fmt: skip
        self.pipe, self.setup, self.dtype, self._space = pipe, setup, dtype, space
        self._vae, self._vae_file, self._encode = pipe.vae, vae_file, pipe.text_encoder

    @classmethod
    def unavailable(cls, setup: Setup) -> str | None:
        if setup.self_forcing_root is None:
            return "Self-Forcing is not here; self_forcing.root=CHECKOUT says where (github.com/guandeh17/Self-Forcing)"
        root = Path(setup.self_forcing_root).expanduser()
        needed = ["pipeline/causal_inference.py", CONFIG, str(VAE), setup.choice.model or MODEL]
        if absent := [name for name in needed if not (root / name).is_file()]:
            return f"{root} lacks {', '.join(absent)}; docs/end_to_end.md says where they come from"
        if setup.device.type != "cuda":
            return "Self-Forcing needs a CUDA device"
        return None

    @classmethod
    def start(cls, setup: Setup) -> SelfForcing:
        assert setup.self_forcing_root is not None
        root = Path(setup.self_forcing_root).expanduser().absolute()
        if (setup.choice.height // 8, setup.choice.width // 8) != LATENT_SIDES:
            raise ValueError("Self-Forcing generates 480 x 832 pixels only: host.height=480 host.width=832")
        os.chdir(root)
        sys.path.insert(0, str(root))
        from omegaconf import OmegaConf
        from pipeline.causal_inference import CausalInferencePipeline

        told = OmegaConf.merge(OmegaConf.load("configs/default_config.yaml"), OmegaConf.load(CONFIG))
        pipe = CausalInferencePipeline(told, device=setup.device)
        weights = torch.load(setup.choice.model or MODEL, map_location="cpu", weights_only=True)
        pipe.generator.load_state_dict(weights["generator_ema"])
        return cls(pipe.to(setup.device, torch.bfloat16), setup, root / VAE)

    @property
    def own(self) -> Decoder:
        return load_decoder(self._vae_file)

    def use(self, decoder: Decoder | None, chunk: int | None = None) -> None:
        if self.pipe.vae is not self._vae:
            uninstall(self.pipe)
        if decoder is not None:
            install(self.pipe, decoder, chunk=chunk)

    def text(self, prompt: str) -> Any:
        return self._encode(text_prompts=[prompt])

    def denoise(self, told: Any, seed: int) -> Tensor:
        return self._latents(told, seed, self._frames()).transpose(1, 2)

    @torch.no_grad()
    def decode(self, z_NCthw: Tensor) -> Tensor:
        return self.pipe.vae.decode_to_pixel(z_NCthw.to(self.setup.device, self.dtype).transpose(1, 2)).transpose(1, 2)

    @torch.no_grad()
    def generate(self, prompt: str, seed: int) -> Tensor:
        video = self.pipe.inference(self._noise(seed, self._frames()), [prompt])  # (N, T, 3, H, W) in [0, 1]
        self.pipe.vae.model.clear_cache()
        return video.transpose(1, 2) * 2 - 1

    @torch.no_grad()
    def first_frames(self, prompt: str, seed: int) -> None:
        """One block of latents, and the frames of its first latent."""
        block = self._latents(self.text(prompt), seed, BLOCK)
        self.pipe.vae.model.clear_cache()
        self.pipe.vae.decode_to_pixel(block[:, :1], use_cache=True)
        self.pipe.vae.model.clear_cache()

    @torch.no_grad()
    def _latents(self, told: Any, seed: int, latents: int) -> Tensor:
        """Normalised latents (N, t, C, h, w), nothing decoded and no text encoded."""
        vae = self.pipe.vae
        self.pipe.vae, self.pipe.text_encoder = Undecoded(), _Known(told)
        try:
            _, found = self.pipe.inference(self._noise(seed, latents), [""], return_latents=True)
        finally:
            self.pipe.vae, self.pipe.text_encoder = vae, self._encode
        assert isinstance(found, Tensor)
        return found

    def _frames(self) -> int:
        """Latents of a clip; a number that is no whole number of blocks is a `ValueError`."""
        latents = (self.setup.choice.frames - 1) // 4 + 1
        if latents % BLOCK:
            raise ValueError(
                f"Self-Forcing generates blocks of {BLOCK} latents; host.frames={4 * latents - 3} is none, 81 is"
            )
        return latents

    def _noise(self, seed: int, latents: int) -> Tensor:
        """Noise of a clip; torch's seed is set as well, because the sampler draws more of it on its way."""
        torch.manual_seed(seed)
        choice = self.setup.choice
        shape = (1, latents, self._space.channels, choice.height // 8, choice.width // 8)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return noise.to(self.setup.device, self.dtype)


class _Known(nn.Module):
    """A text encoder that was asked before."""

    def __init__(self, told: Any) -> None:
        super().__init__()
        self.told = SimpleNamespace(value=told)

    def forward(self, text_prompts: list[str]) -> Any:
        return self.told.value
