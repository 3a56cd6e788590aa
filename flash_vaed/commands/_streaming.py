"""Latents to frames a few at a time, so that memory does not grow with the clip."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from tqdm import tqdm

from flash_vaed.decoder import Decoder


def streamed(decoder: Decoder, z_NCthw: Tensor, chunk: int) -> Iterator[Tensor]:
    """Raw latents -> frames (N, 3, T, H, W) in [-1, 1], float32 on the CPU, `chunk` latents after another.

    A bar on a terminal shows the latents done. Frames that are not finite are a `ValueError`.
    """
    like, state = next(decoder.parameters()), decoder.init_state()
    t = z_NCthw.shape[2]
    with tqdm(total=t, unit="latent", desc="decode", disable=None, leave=False) as bar:
        for start in range(0, t, chunk):
            z_chunk = z_NCthw[:, :, start : start + chunk].to(like.device, like.dtype)
            frames, state = decoder.step(z_chunk, state, last=start + chunk >= t)
            if not frames.isfinite().all():
                raise ValueError(f"the decoder's frames hold NaN in {str(like.dtype)[6:]}; try another --dtype")
            if frames.shape[2]:
                yield frames.float().cpu()
            bar.update(z_chunk.shape[2])
