"""A teacher: a frozen decoder, the encoder of its latent space, and the loaders for both.

The encoder is never compressed here; it only makes the latents on which decoders are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from flash_vaed.decoder import Decoder

BUNDLED = Path(__file__).parent / "assets" / "teacher"


@dataclass(frozen=True)
class Teacher:
    """`decoder` reads the raw latents that `encode` writes.

    encoder: (N, 3, T, H, W) in [-1, 1] -> raw latents (N, C, t, h, w), deterministic (the posterior's mode, where there
    is one).
    """

    name: str
    decoder: Decoder
    encoder: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def encode(self, x_NCTHW: Tensor) -> Tensor:
        """Video in [-1, 1] -> raw latents, float32. T = 4 (t - 1) + 1; H and W multiples of the spatial scale."""
        if x_NCTHW.ndim != 5:
            raise ValueError(f"expected (N, 3, T, H, W) video, got {tuple(x_NCTHW.shape)}")
        self.decoder.spec.latent_shape(*x_NCTHW.shape[2:])  # refuses what the latent grid cannot give
        return self.encoder(x_NCTHW)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits over the decoder's spec and the weights of decoder and encoder."""
        return weights_fingerprint(self.decoder, *(part for part in (self.encoder,) if isinstance(part, nn.Module)))


def weights_fingerprint(decoder: Decoder, *more: nn.Module) -> str:
    """Twelve hex digits over a decoder's spec, its weights, and those of what belongs to it."""
    digest = hashlib.sha256(decoder.spec.fingerprint().encode())
    for part in (decoder, *more):
        for name, value in sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
