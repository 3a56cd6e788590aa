"""The real `LTXPipeline` without a download: a tiny random transformer over the teacher's latent space.

Its VAE is the teacher's decoder behind the interface pipelines expect; diffusers' LTX VAE cannot hold it. What it shows
is noise.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from bench.hosts.base import HOSTS, Setup
from bench.hosts.pipeline import LtxHost, missing_packages
from bench.hosts.tiny_text import WIDTH, tiny_text_encoder
from flash_vaed import Decoder
from flash_vaed.export.fields import spec_to_config


@HOSTS.register("tiny_ltx")
class TinyLtx(LtxHost):
    from_teacher = True

    @classmethod
    def unavailable(cls, setup: Setup) -> str | None:
        return missing_packages()

    @classmethod
    def start(cls, setup: Setup) -> TinyLtx:
        from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel

        from flash_vaed.export.modeling import FlashVaed

        teacher = setup.teacher()
        channels = teacher.latents.channels
        vae = FlashVaed(spec_to_config(teacher.spec))
        vae.decoder = copy.deepcopy(teacher)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            transformer: Any = LTXVideoTransformer3DModel(
                in_channels=channels, out_channels=channels, patch_size=1, patch_size_t=1, num_attention_heads=4,
                attention_head_dim=32, cross_attention_dim=128, num_layers=4, caption_channels=WIDTH,
            )  # fmt: skip
            text = tiny_text_encoder()
        pipe = LTXPipeline(
            vae=vae.eval(), transformer=transformer.eval(), scheduler=FlowMatchEulerDiscreteScheduler(), **text
        )
        return cls(pipe, setup)

    @property
    def own(self) -> Decoder:
        return copy.deepcopy(self._vae.decoder).float().cpu()
