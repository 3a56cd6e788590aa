"""A teacher: a frozen decoder, the encoder of its latent space, and the loaders for both.

The encoder is never compressed here; it only makes the latents on which decoders are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder

BUNDLED = Path(__file__).parent / "assets" / "teacher"


@dataclass(frozen=True)
class Teacher:
    """`decoder` reads the raw latents that `encode` writes.

    encoder: (N, 3, T, H, W) in [-1, 1] -> raw latents (N, C, t, h, w), deterministic (the posterior's mode, where there is one).
    """

    name: str
    decoder: Decoder
    encoder: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def encode(self, x_NCTHW: Tensor) -> Tensor:
        """Video in [-1, 1] -> raw latents, float32. T = 4 (t - 1) + 1; H and W multiples of the spatial scale."""
        spec = self.decoder.spec
        T, H, W = x_NCTHW.shape[2:]
        if (T - 1) % spec.temporal_scale or H % spec.spatial_scale or W % spec.spatial_scale:
            raise ValueError(
                f"{self.name} takes {spec.temporal_scale} k + 1 frames with sides divisible by {spec.spatial_scale}, not {T}x{H}x{W}"
            )
        return self.encoder(x_NCTHW)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits over the decoder's spec and weights."""
        digest = hashlib.sha256(self.decoder.spec.fingerprint().encode())
        for name, value in sorted(self.decoder.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]
