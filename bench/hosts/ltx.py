"""`LTXPipeline` with real weights (LTX-Video 0.9.0), from a folder or the Hugging Face cache."""

from __future__ import annotations

import torch

from bench.hosts.base import HOSTS, Setup
from bench.hosts.pipeline import LtxHost, missing_model, missing_packages


@HOSTS.register("ltx")
class Ltx(LtxHost):
    @classmethod
    def unavailable(cls, setup: Setup) -> str | None:
        return missing_packages() or missing_model(setup.choice.model)

    @classmethod
    def start(cls, setup: Setup) -> Ltx:
        from diffusers import LTXPipeline

        pipe = LTXPipeline.from_pretrained(setup.choice.model, torch_dtype=torch.bfloat16, local_files_only=True)
        if pipe.vae.config["timestep_conditioning"]:
            raise ValueError(
                f"{setup.choice.model} has a decoder that is told the timestep (0.9.1 and later); the paired "
                "comparison needs LTX-Video 0.9.0"
            )
        return cls(pipe, setup)
