"""Latents to frames a few at a time, so that memory does not grow with the clip."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from tqdm import tqdm

from flash_vaed.decoder import Decoder
from flash_vaed.decoding import DecodePlan, decode_stream


def streamed(decoder: Decoder, z_NCthw: Tensor, plan: DecodePlan) -> Iterator[Tensor]:
    """Raw latents -> frames (N, 3, T, H, W) in [-1, 1], float32 on the CPU, decoded step by step as planned.

    A bar on a terminal shows the latents done. Frames that are not finite are a `ValueError`.
    """
    like = next(decoder.parameters())
    with tqdm(total=z_NCthw.shape[2], unit="latent", desc="decode", disable=None, leave=False) as bar:

        def pieces() -> Iterator[Tensor]:
            for piece in z_NCthw.split(plan.chunk or z_NCthw.shape[2], dim=2):
                yield piece.to(like.device, like.dtype)
                bar.update(piece.shape[2])

        for frames in decode_stream(decoder, pieces(), plan.chunk, plan.tile, plan.thrifty):
            if not frames.isfinite().all():
                raise ValueError(f"the decoder's frames hold NaN in {str(like.dtype)[6:]}; try another --dtype")
            yield frames.float().cpu()
