"""What a host is to the bench: text, denoising and decoding as parts that can be timed, and the whole as users call it.

Latents cross this border normalised, (1, C, t, h, w); frames as (1, 3, T, H, W) in [-1, 1].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.spec import HostChoice
from flash_vaed import Decoder
from flash_vaed.registry import Registry

HOSTS: Registry[type[Host]] = Registry("host", __package__)


@dataclass(frozen=True)
class Setup:
    """What a host is started with. teacher: the run's, for hosts that come without a VAE of their own.

    self_forcing_root: a checkout, for the host that is no package.
    """

    choice: HostChoice
    device: torch.device
    teacher: Callable[[], Decoder]
    self_forcing_root: str | None = None


class Host(ABC):
    """A running host.

    streams: it gives frames while it still generates. from_teacher: it is built around the run's teacher.
    """

    streams: ClassVar[bool] = False
    from_teacher: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def unavailable(cls, setup: Setup) -> str | None:
        """Why it cannot run here, in one line that says what would help, or None."""

    @classmethod
    @abstractmethod
    def start(cls, setup: Setup) -> Host:
        """The host, ready to generate."""

    @property
    @abstractmethod
    def own(self) -> Decoder:
        """An exact copy of the decoder it comes with, in float32 on the CPU."""

    @abstractmethod
    def use(self, decoder: Decoder | None, chunk: int | None = None) -> None:
        """Decode with `decoder` from now on, `chunk` latents at a time; None: with its own, as it comes."""

    @abstractmethod
    def text(self, prompt: str) -> Any:
        """What the model is told about a prompt."""

    @abstractmethod
    def denoise(self, told: Any, seed: int) -> Tensor:
        """The latents of a video."""

    @abstractmethod
    def decode(self, z_NCthw: Tensor) -> Tensor:
        """The frames of latents, by the decoder in use."""

    @abstractmethod
    def generate(self, prompt: str, seed: int) -> Tensor:
        """From prompt to frames in one call, as its users do it."""

    def first_frames(self, prompt: str, seed: int) -> None:
        """From prompt to the first frames that can be shown; for hosts that stream."""
        raise NotImplementedError
