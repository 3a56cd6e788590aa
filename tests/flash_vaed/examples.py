"""Small decoders with random weights, random video, and the yardstick that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from flash_vaed import Decoder, DecoderSpec, LatentSpace
from flash_vaed.families.wan import wan_spec

FOUR_CHANNELS = LatentSpace("test", mean=(0.1, -0.2, 0.3, 0.0), std=(1.0, 2.0, 0.5, 1.5))


def scramble(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random gains, biases and kernels, in place: nothing keeps a default (1, 0) that would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("gamma"):
                parameter.copy_(1 + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
    return module


def tiny_spec(base: int = 8, multipliers: tuple[int, ...] = (1, 2, 4, 4), blocks: int = 2) -> DecoderSpec:
    """Wan's architecture with all five stages, four latent channels."""
    return wan_spec(base, multipliers, blocks, latents=FOUR_CHANNELS)


def random_decoder(spec: DecoderSpec | None = None, seed: int = 0) -> Decoder:
    """A frozen decoder with random weights."""
    decoder = Decoder(spec or tiny_spec())
    scramble(decoder, seed)
    return decoder.eval().requires_grad_(False)


def random_latents(t: int, h: int = 2, w: int = 2, n: int = 1, channels: int = 4, seed: int = 0) -> Tensor:
    """Raw latents (n, channels, t, h, w), standard normal."""
    return torch.randn(n, channels, t, h, w, generator=torch.Generator().manual_seed(seed))


def psnr(candidate: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two tensors in [-1, 1]."""
    return float(10 * torch.log10(4 / (candidate - target).square().mean()))


class SmoothVideo:
    """Endless resumable batches (2, 3, frames, size, size) in [-1, 1]: coloured waves that move."""

    def __init__(self, frames: int = 5, size: int = 16, seed: int = 0) -> None:
        self.frames, self.size, self._generator = frames, size, torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        speed, colour = (torch.rand(2, 3, 1, 1, 1, generator=self._generator) for _ in range(2))
        pixels = torch.arange(self.size) / self.size
        time = torch.arange(self.frames).view(-1, 1, 1)
        phase = 6.3 * (pixels.view(-1, 1) + 0.7 * pixels + colour) + speed * time
        return (0.8 * torch.sin(phase)).clamp(-1, 1)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])
