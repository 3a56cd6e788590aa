"""Stock pipelines of diffusers, tiny and with random transformers, and how they are called."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

EMBEDDINGS = torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(1))
ABSENT = {"text_encoder": None, "tokenizer": None}


def wan_pipeline(vae: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
        text_dim=32, freq_dim=256, ffn_dim=32, num_layers=2, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(shift=7.0)
    return WanPipeline(vae=vae, transformer=transformer.eval(), transformer_2=None, scheduler=scheduler, **ABSENT)


def ltx_pipeline(vae: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel

    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, patch_size=1, patch_size_t=1, num_attention_heads=4, attention_head_dim=8,
        cross_attention_dim=32, num_layers=1, caption_channels=32,
    )  # fmt: skip
    return LTXPipeline(vae=vae, transformer=transformer.eval(), scheduler=FlowMatchEulerDiscreteScheduler(), **ABSENT)


def generate(pipe: Any, output: str = "pt", clips: int = 1) -> Tensor:
    """Nine frames as (clips, 9, 3, 32, 32) in [0, 1] ("pt"), or the pipeline's own latents ("latent")."""
    pipe.set_progress_bar_config(disable=True)
    told: dict[str, Any] = {}
    if type(pipe).__name__.startswith("LTX"):
        told = {f"{sign}prompt_attention_mask": torch.ones(clips, 16) for sign in ("", "negative_")}
    if "ImageToVideo" in type(pipe).__name__:
        image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
        told["image"] = image if type(pipe).__name__.startswith("Wan") else image.expand(clips, -1, -1, -1)
    embeddings = EMBEDDINGS.expand(clips, -1, -1)
    return pipe(
        prompt_embeds=embeddings, negative_prompt_embeds=-embeddings, num_inference_steps=2, guidance_scale=3.0,
        height=32, width=32, num_frames=9, max_sequence_length=16, output_type=output,
        generator=torch.Generator().manual_seed(0), **told,
    ).frames  # fmt: skip


def wan_image_pipeline(vae: Any) -> Any:
    """Image-to-video as in Wan 2.2: the first frame comes in as latents, without an image encoder."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline, WanTransformer3DModel

    z = vae.config.z_dim
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=2 * z + 4, out_channels=z,
        text_dim=32, freq_dim=256, ffn_dim=32, num_layers=2, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    )  # fmt: skip
    return WanImageToVideoPipeline(
        vae=vae, transformer=transformer.eval(), scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        image_encoder=None, image_processor=None, **ABSENT,
    )  # fmt: skip


def ltx_image_pipeline(vae: Any) -> Any:
    from diffusers import LTXImageToVideoPipeline

    return LTXImageToVideoPipeline(**ltx_pipeline(vae).components)


def wan_vae(seed: int = 0) -> Any:
    """diffusers' own, small, with random weights."""
    from diffusers import AutoencoderKLWan

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoencoderKLWan(base_dim=4, num_res_blocks=1).eval().requires_grad_(False)


def ltx_vae(seed: int = 0) -> Any:
    """diffusers' own of version 0.9.0, small, with random weights: 4 frames and 4 x 4 pixels a latent."""
    from diffusers import AutoencoderKLLTXVideo

    sizes = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": (1, 1, 1, 1, 1),
             "spatio_temporal_scaling": (True, True, False, False)}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae: Any = AutoencoderKLLTXVideo(
            latent_channels=8, patch_size=1, decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4,
            upsample_factor=(1,) * 4, **sizes, **{f"decoder_{name}": value for name, value in sizes.items()},
        )  # fmt: skip
    vae.latents_mean += 0.1 * torch.randn(8, generator=torch.Generator().manual_seed(seed))
    vae.latents_std *= 1.5
    return vae.eval().requires_grad_(False)


PIPELINES = {
    "wan": (wan_pipeline, wan_vae), "ltx": (ltx_pipeline, ltx_vae),
    "wan-image": (wan_image_pipeline, wan_vae), "ltx-image": (ltx_image_pipeline, ltx_vae),
}  # fmt: skip
