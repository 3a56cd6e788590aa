"""What hosts have in common that are pipelines of diffusers."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.hosts.base import Host, Setup
from flash_vaed import Decoder
from flash_vaed.hosts.diffusers import decoder_of, install, latents_of, uninstall
from flash_vaed.spec import LatentSpace


class PipelineHost(Host):
    """Around a pipeline that is loaded already. `pipe.vae` is taken as the decoder it comes with.

    words: tokens of a prompt; a pipeline's call and its `encode_prompt` have different defaults.
    """

    words: ClassVar[int]

    def __init__(self, pipe: Any, setup: Setup) -> None:
        self.pipe, self.choice, self.device = pipe.to(setup.device), setup.choice, setup.device
        self.pipe.set_progress_bar_config(disable=True)
        self._vae, self._space = pipe.vae, latent_space(pipe.vae)

    @property
    def own(self) -> Decoder:
        return decoder_of(self._vae)

    def use(self, decoder: Decoder | None, chunk: int | None = None) -> None:
        if self.pipe.vae is not self._vae:
            uninstall(self.pipe)
        if decoder is not None:
            install(self.pipe, decoder, chunk=chunk)

    @torch.no_grad()
    def decode(self, z_NCthw: Tensor) -> Tensor:
        vae = self.pipe.vae
        raw = self._space.denormalize(z_NCthw.to(self.device).float())
        frames = vae.decode(raw.to(vae.dtype), return_dict=False)[0]
        assert isinstance(frames, Tensor)
        return frames

    def denoise(self, told: Any, seed: int) -> Tensor:
        return self.unpacked(self.call(told, "latent", seed))

    def generate(self, prompt: str, seed: int) -> Tensor:
        """The frames come as the pipeline's (N, T, 3, H, W) in [0, 1]."""
        frames = self.call({"prompt": prompt}, "pt", seed)
        return frames.transpose(1, 2) * 2 - 1

    def call(self, told: dict[str, Any], output_type: str, seed: int) -> Tensor:
        """The pipeline's own call."""
        choice = self.choice
        frames = self.pipe(
            **told, output_type=output_type, generator=torch.Generator().manual_seed(seed),
            height=choice.height, width=choice.width, num_frames=choice.frames,
            num_inference_steps=choice.steps, guidance_scale=choice.guidance, max_sequence_length=self.words,
        ).frames  # fmt: skip
        assert isinstance(frames, Tensor)
        return frames

    @abstractmethod
    def unpacked(self, latents: Tensor) -> Tensor:
        """What `output_type="latent"` gave as (1, C, t, h, w)."""


class WanHost(PipelineHost):
    """`WanPipeline`."""

    words = 512

    def text(self, prompt: str) -> dict[str, Any]:
        embeddings, negative = self.pipe.encode_prompt(
            prompt, do_classifier_free_guidance=self.choice.guidance > 1, device=self.device,
            max_sequence_length=self.words,
        )  # fmt: skip
        return {"prompt_embeds": embeddings, "negative_prompt_embeds": negative}

    def unpacked(self, latents: Tensor) -> Tensor:
        return latents


class LtxHost(PipelineHost):
    """`LTXPipeline`, whose latents travel as a list of tokens."""

    words = 128

    def text(self, prompt: str) -> dict[str, Any]:
        names = ("prompt_embeds", "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask")
        found = self.pipe.encode_prompt(
            prompt, do_classifier_free_guidance=self.choice.guidance > 1, device=self.device,
            max_sequence_length=self.words,
        )  # fmt: skip
        return dict(zip(names, found, strict=True))

    def unpacked(self, latents: Tensor) -> Tensor:
        choice, vae = self.choice, self._vae
        t = (choice.frames - 1) // vae.temporal_compression_ratio + 1
        h, w = choice.height // vae.spatial_compression_ratio, choice.width // vae.spatial_compression_ratio
        unpacked = self.pipe._unpack_latents(
            latents, t, h, w, self.pipe.transformer_spatial_patch_size, self.pipe.transformer_temporal_patch_size
        )
        assert isinstance(unpacked, Tensor)
        return unpacked


def latent_space(vae: Any) -> LatentSpace:
    """The statistics that a pipeline denormalises with."""
    found = latents_of(vae)
    return LatentSpace(found.host, tuple(found.mean), tuple(found.std))


def missing_packages() -> str | None:
    """What diffusers' pipelines need and is not installed."""
    for name in ("diffusers", "transformers"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed; get it with: pip install {name}"
    return None


def missing_model(model: str | None) -> str | None:
    """Why no pipeline lies under this name, in a folder or in the Hugging Face cache."""
    if model is None:
        return "host.model names no pipeline"
    if (Path(model) / "model_index.json").is_file():
        return None
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model, "model_index.json")
    except ValueError as error:
        return f"host.model={model}: {' '.join(str(error).split())}"
    if isinstance(found, str):
        return None
    return f"{model} is neither a pipeline's folder nor in the Hugging Face cache; get it with: hf download {model}"
