"""What a program is: it takes a decoder and says how to call it. Raw latents go in, frames in [-1, 1] come out.

Two programs are compared on the same weights. A peer builds its own modules with random weights, and ours reads those
through the layout of its checkpoints, as it would read a released file; nothing is converted twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.spec import Arm
from flash_vaed import Decoder, load_decoder, load_teacher
from flash_vaed.checkpoint import decoder_from
from flash_vaed.decoder import seeded_decoder
from flash_vaed.families.zoo import SPECS
from flash_vaed.registry import Registry

PROGRAMS: Registry[type[Program]] = Registry("program", __package__)


@dataclass(frozen=True)
class Running:
    """A decoder on its device, ready to be called. decode: a whole clip. first: its first latent. decoder: ours, None
    for a peer's.
    """

    decode: Callable[[Tensor], Tensor]
    first: Callable[[Tensor], object]
    decoder: Decoder | None = None


class Program(ABC):
    """brings: decoders (`families/zoo.py`) for which it has modules, and thereby weights, of its own.

    release: where a checkout of the peer's program lies, for those that are no package.
    """

    brings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, release: str | None = None) -> None:
        self.release = release

    def unavailable(self) -> str | None:
        """Why it cannot run here, in one line, or None."""
        return None

    def weights(self, decoder: str, seed: int) -> dict[str, Tensor]:
        """Its own modules' random weights, under its own names."""
        raise NotImplementedError

    @abstractmethod
    def start(self, arm: Arm, decoder: Decoder, seed: int, device: torch.device) -> Running:
        """`arm` on `device`. decoder: the same weights as one of ours. What it cannot do is a `ValueError`."""


def decoder_named(name: str, seed: int, beside: Iterable[Program]) -> Decoder:
    """The decoder an arm names, frozen, in float32 on the CPU.

    A built-in spec has random weights: those of the first program `beside` that brings it, else its own.
    """
    if name not in SPECS:
        return load_teacher(name).decoder if name == "bundled" else load_decoder(name)
    peer = next((program for program in beside if name in program.brings), None)
    return seeded_decoder(SPECS[name], seed) if peer is None else decoder_from(peer.weights(name, seed), name)
