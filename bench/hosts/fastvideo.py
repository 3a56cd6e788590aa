"""FastVideo (hao-ai-lab/FastVideo): its pipeline in this process, stage by stage. Needs the package and a CUDA device.

`VideoGenerator` runs the same pipeline in a spawned process, where no decoder can be put in. Stages are told apart by
their class: text is what ends with the encoder, decoding is `DecodingStage`, denoising what lies between.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.hosts.base import HOSTS, Host, Setup
from bench.hosts.pipeline import missing_model
from flash_vaed import Decoder, load_decoder
from flash_vaed.hosts.fastvideo import install, uninstall

TEXT, DECODING = "TextEncodingStage", "DecodingStage"


@HOSTS.register("fastvideo")
class FastVideo(Host):
    """Around a pipeline. settings: its `FastVideoArgs`. request: makes the batch of one video (prompt, seed)."""

    def __init__(
        self, pipe: Any, settings: Any, request: Callable[[str, int], Any], setup: Setup, vae_folder: Path
    ) -> None:
        self.pipe, self.settings, self.request, self.setup = pipe, settings, request, setup
        self._vae, self._vae_folder = pipe.modules["vae"], vae_folder
        names = [type(stage).__name__ for stage in pipe.stages]
        for name in (TEXT, DECODING):
            if name not in names:
                raise ValueError(f"FastVideo's {type(pipe).__name__} has no {name}, but {', '.join(names)}")
        self._after_text, self._decoding = names.index(TEXT) + 1, names.index(DECODING)

    @classmethod
    def unavailable(cls, setup: Setup) -> str | None:
        if importlib.util.find_spec("fastvideo") is None:
            return (
                "fastvideo is not installed; get it in an environment of its own: pip install 'flash-vaed[fastvideo]'"
            )
        if setup.device.type != "cuda":
            return "FastVideo needs a CUDA device"
        return missing_model(setup.choice.model)

    @classmethod
    def start(cls, setup: Setup) -> FastVideo:
        from fastvideo.api.sampling_param import SamplingParam
        from fastvideo.distributed import maybe_init_distributed_environment_and_model_parallel
        from fastvideo.fastvideo_args import FastVideoArgs
        from fastvideo.pipelines import ForwardBatch, build_pipeline
        from fastvideo.utils import maybe_download_model, shallow_asdict

        choice = setup.choice
        settings = FastVideoArgs.from_kwargs(model_path=choice.model, num_gpus=1, vae_cpu_offload=False)
        maybe_init_distributed_environment_and_model_parallel(1, 1)
        pipe = build_pipeline(settings)
        pipe.post_init()
        tokens = ((choice.frames - 1) // 4 + 1) * (choice.height // 8) * (choice.width // 8)

        def request(prompt: str, seed: int) -> Any:
            told = SamplingParam.from_pretrained(choice.model)
            told.update({
                "prompt": prompt, "seed": seed, "num_frames": choice.frames, "height": choice.height,
                "width": choice.width, "num_inference_steps": choice.steps, "guidance_scale": choice.guidance,
                "fps": choice.fps, "save_video": False, "return_frames": True,
            })  # fmt: skip
            return ForwardBatch(**shallow_asdict(told), eta=0.0, n_tokens=tokens, VSA_sparsity=settings.VSA_sparsity)

        return cls(pipe, settings, request, setup, Path(maybe_download_model(choice.model)) / "vae")

    @property
    def own(self) -> Decoder:
        return load_decoder(self._vae_folder)

    def use(self, decoder: Decoder | None, chunk: int | None = None) -> None:
        if self.pipe.modules["vae"] is not self._vae:
            uninstall(self.pipe)
        if decoder is not None:
            install(self.pipe, decoder, chunk=chunk)

    def text(self, prompt: str) -> Any:
        """The batch behind the text encoder; its seed is set when it is denoised."""
        return self._through(self.pipe.stages[: self._after_text], self.request(prompt, 0))

    def denoise(self, told: Any, seed: int) -> Tensor:
        fresh = self.request(told.prompt, seed)
        fresh.prompt_embeds, fresh.negative_prompt_embeds = told.prompt_embeds, told.negative_prompt_embeds
        fresh.prompt_attention_mask = told.prompt_attention_mask
        fresh.negative_attention_mask = told.negative_attention_mask
        before = [stage for stage in self.pipe.stages[: self._decoding] if type(stage).__name__ != TEXT]
        latents = self._through(before, fresh).latents
        assert isinstance(latents, Tensor)
        return latents

    @torch.no_grad()
    def decode(self, z_NCthw: Tensor) -> Tensor:
        frames = self.pipe.stages[self._decoding].decode(z_NCthw, self.settings)  # (N, 3, T, H, W) in [0, 1]
        return frames * 2 - 1

    def generate(self, prompt: str, seed: int) -> Tensor:
        done = self._through(self.pipe.stages[: self._decoding + 1], self.request(prompt, seed))
        return done.output * 2 - 1

    @torch.no_grad()
    def _through(self, stages: Sequence[Any], batch: Any) -> Any:
        for stage in stages:
            batch = stage(batch, self.settings)
        return batch
