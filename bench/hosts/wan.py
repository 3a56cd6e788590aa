"""`WanPipeline` with real weights (Wan 2.1 or 2.2 in diffusers' layout), from a folder or the Hugging Face cache."""

from __future__ import annotations

import torch

from bench.hosts.base import HOSTS, Setup
from bench.hosts.pipeline import WanHost, missing_model, missing_packages


@HOSTS.register("wan")
class Wan(WanHost):
    @classmethod
    def unavailable(cls, setup: Setup) -> str | None:
        return missing_packages() or missing_model(setup.choice.model)

    @classmethod
    def start(cls, setup: Setup) -> Wan:
        """The transformer in bfloat16, the VAE in float32, as its makers run it."""
        from diffusers import AutoencoderKLWan, WanPipeline

        model = setup.choice.model
        vae = AutoencoderKLWan.from_pretrained(model, subfolder="vae", local_files_only=True)
        pipe = WanPipeline.from_pretrained(model, vae=vae, torch_dtype=torch.bfloat16, local_files_only=True)
        return cls(pipe, setup)
