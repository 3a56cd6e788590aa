"""A host in miniature, settings for it, and a teacher whose latents it makes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from bench.hosts import Host, Setup
from bench.spec import HostChoice
from flash_vaed import Decoder
from flash_vaed.families.wan import wan_spec
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder

CHOICE = HostChoice("fake", None, frames=5, height=32, width=32, steps=1, guidance=1.0, fps=8)


def small_teacher(seed: int = 0) -> Decoder:
    """Wan's architecture, a block a stage, four latent channels."""
    return random_decoder(wan_spec(4, (1, 2, 2, 2), 2, latents=FOUR_CHANNELS), seed)


def setup(choice: HostChoice = CHOICE, device: str = "cpu", **told: Any) -> Setup:
    return Setup(choice, torch.device(device), small_teacher, **told)


class FakeHost(Host):
    """Latents follow from the seed; counts how often it generated and decoded."""

    streams = True
    from_teacher = True

    def __init__(self, given: Setup) -> None:
        self._own, self.choice = given.teacher(), given.choice
        self.in_use: Decoder = self._own
        self.denoised = self.decoded = 0

    @classmethod
    def unavailable(cls, setup: Setup) -> str | None:
        return "a fake host needs a fake model" if setup.choice.model == "absent" else None

    @classmethod
    def start(cls, setup: Setup) -> FakeHost:
        return cls(setup)

    @property
    def own(self) -> Decoder:
        return copy.deepcopy(self._own)

    def use(self, decoder: Decoder | None, chunk: int | None = None) -> None:
        self.in_use = decoder or self._own

    def text(self, prompt: str) -> str:
        return prompt

    def denoise(self, told: Any, seed: int) -> Tensor:
        self.denoised += 1
        shape = self._own.spec.latent_shape(self.choice.frames, self.choice.height, self.choice.width)
        return torch.randn(1, 4, *shape, generator=torch.Generator().manual_seed(seed))

    def decode(self, z_NCthw: Tensor) -> Tensor:
        self.decoded += 1
        return self.in_use.decode(self._own.latents.denormalize(z_NCthw), expect=None)

    def generate(self, prompt: str, seed: int) -> Tensor:
        return self.decode(self.denoise(self.text(prompt), seed))

    def first_frames(self, prompt: str, seed: int) -> None:
        self.decode(self.denoise(self.text(prompt), seed)[:, :, :1])
