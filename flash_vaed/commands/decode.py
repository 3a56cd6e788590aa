"""Decode latents to a video, a few at a time: memory does not grow with the clip.

  python -m flash_vaed decode z.safetensors out.mp4 --decoder PATH
  python -m flash_vaed decode z.pt out.mp4 --decoder PATH --latents normalized     as a diffusion model gives them
  python -m flash_vaed decode z.npy frames.npy --decoder PATH                      float32 (N, 3, T, H, W) in [-1, 1]
  python -m flash_vaed decode z.pt out.mp4 --decoder wan2.1 --random-weights 0     speed and memory without a checkpoint
  python -m flash_vaed decode z.pt out.mp4 --decoder PATH --memory 4GB             in chunks and tiles that fit
Latents are .pt, .pth, .safetensors, .npy or .npz, (N, C, t, h, w). A warning says when they do not look like what
--latents calls them.
"""

from __future__ import annotations

import time
from fractions import Fraction

from torch import Tensor

from flash_vaed.commands._arguments import DTYPES, add_device, add_dtype, frame_rate, parser_of
from flash_vaed.commands._clips import note, warn
from flash_vaed.commands._decoders import add_decoder, chosen
from flash_vaed.commands._frames import check_output, frame_writer
from flash_vaed.commands._plan import add_plan, planned
from flash_vaed.commands._streaming import streamed
from flash_vaed.contract import READINGS, doubt
from flash_vaed.latent_files import read_latents
from flash_vaed.spec import LatentSpace


def main(argv: list[str]) -> int:
    parser = parser_of("decode", __doc__)
    parser.add_argument("file", metavar="LATENTS", help="the latents")
    parser.add_argument("out", metavar="OUT", help=".mp4, .mkv, .mov, or frames as .npy, .pt")
    add_decoder(parser)
    parser.add_argument("--latents", choices=READINGS, default="raw", help="what the latents are (default: raw)")
    parser.add_argument("--fps", type=frame_rate, default=Fraction(16), help="frames per second (default: 16)")
    add_plan(parser)
    add_dtype(parser, "of weights and activations")
    add_device(parser)
    given = parser.parse_args(argv)
    out = check_output(given.out)
    z_NCthw = read_latents(given.file)
    decoder = chosen(given.decoder, given.random_weights)
    z_NCthw = as_raw(z_NCthw, decoder.latents, given.latents)
    decoder = decoder.to(given.device, DTYPES[given.dtype])
    if given.random_weights is not None:
        note(f"{given.decoder} has random weights (seed {given.random_weights}): the frames are noise")
    N, _, t, h, w = z_NCthw.shape
    T, side = decoder.spec.frames_out(t), decoder.spec.spatial_scale
    plan = planned(decoder, z_NCthw, given)
    begun_s = time.perf_counter()
    with frame_writer(out, given.fps, (N, 3, T, h * side, w * side)) as write:
        for frames_NCTHW in streamed(decoder, z_NCthw, plan):
            write(frames_NCTHW)
    took_s = time.perf_counter() - begun_s
    print(f"{out}: {T} frames of {h * side}x{w * side} in {took_s:.1f} s ({T / took_s:.1f} frames/s, {given.device})")
    return 0


def as_raw(z_NCthw: Tensor, latents: LatentSpace, reading: str) -> Tensor:
    """Raw latents, float32, from latents of the given reading; what looks wrong about them is a line on stderr."""
    doubtful = doubt(z_NCthw, latents, reading)
    warn(doubtful and f"{doubtful}; --latents says what they are")
    z_NCthw = z_NCthw.float()
    return latents.denormalize(z_NCthw) if reading == "normalized" else z_NCthw
