"""The real `WanPipeline` without a download: a tiny random transformer, diffusers' own VAE with the teacher's weights.

Everything but the weights is what users run, so parts and their sum are real; what it shows is noise.
"""

from __future__ import annotations

from typing import Any

import torch

from bench.hosts.base import HOSTS, Setup
from bench.hosts.pipeline import WanHost, missing_packages
from bench.hosts.tiny_text import WIDTH, tiny_text_encoder
from flash_vaed import Decoder
from flash_vaed.layouts.wan_diffusers import own_name


@HOSTS.register("tiny_wan")
class TinyWan(WanHost):
    from_teacher = True

    @classmethod
    def unavailable(cls, setup: Setup) -> str | None:
        return missing_packages()

    @classmethod
    def start(cls, setup: Setup) -> TinyWan:
        from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

        teacher = setup.teacher()
        channels = teacher.latents.channels
        with torch.random.fork_rng():
            torch.manual_seed(0)
            transformer: Any = WanTransformer3DModel(
                patch_size=(1, 2, 2), num_attention_heads=4, attention_head_dim=32, in_channels=channels,
                out_channels=channels, text_dim=WIDTH, freq_dim=64, ffn_dim=256, num_layers=4, cross_attn_norm=True,
                qk_norm="rms_norm_across_heads", rope_max_seq_len=64,
            )  # fmt: skip
            text = tiny_text_encoder()
        pipe = WanPipeline(
            vae=stock_vae(teacher), transformer=transformer.eval(), transformer_2=None,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0), **text,
        )  # fmt: skip
        return cls(pipe, setup)


def stock_vae(decoder: Decoder) -> Any:
    """diffusers' `AutoencoderKLWan` with a decoder's weights, its encoder left out.

    A decoder that is no Wan teacher (other operators, widths that are no multiples of the last) is a `ValueError`.
    """
    from diffusers import AutoencoderKLWan

    spec = decoder.spec
    stages = [plan for name, plan in spec.stages.items() if name != "mid"]
    base = stages[-1].channels
    vae: Any = AutoencoderKLWan(
        base_dim=base, z_dim=spec.latents.channels, dim_mult=[plan.channels // base for plan in reversed(stages)],
        num_res_blocks=stages[0].num_blocks - 1, latents_mean=list(spec.latents.mean),
        latents_std=list(spec.latents.std),
        temperal_downsample=[plan.upsample == "spatiotemporal" for plan in reversed(stages[:-1])],
    )  # fmt: skip
    vae.encoder = vae.quant_conv = None
    theirs = vae.state_dict()
    own, weights = dict(decoder.state_dict()), {}
    for key in theirs:
        name = own_name(key)
        if name not in own or own[name].numel() != theirs[key].numel():
            raise ValueError(f"AutoencoderKLWan cannot hold this decoder's {name}; host=tiny_wan needs a Wan teacher")
        weights[key] = own.pop(name).reshape(theirs[key].shape)
    if own:
        raise ValueError(f"AutoencoderKLWan has no place for {min(own)}; host=tiny_wan needs a Wan teacher")
    vae.load_state_dict(weights, strict=True)
    return vae.eval().requires_grad_(False)
