"""Send a video through an encoder and a decoder, and say how close it comes back.

  python -m flash_vaed reconstruct in.mp4 out.mp4 --teacher PATH                   the teacher's own decoder
  python -m flash_vaed reconstruct in.mp4 out.mp4 --teacher PATH --decoder PATH    a student of that teacher
PSNR compares frames as tensors, before the output file's own compression, over the whole clip. Frames and sides that
the latent grid cannot give are cut off, and a line says so. The whole clip is held in memory; --frames takes its
beginning only.
"""

from __future__ import annotations

import math
from fractions import Fraction

from flash_vaed.checkpoint import load_teacher
from flash_vaed.commands._arguments import DTYPES, add_device, add_dtype, frame_rate, parser_of
from flash_vaed.commands._clips import add_clip, clip_of, encoded, note, warn
from flash_vaed.commands._decoders import found
from flash_vaed.commands._frames import check_output, frame_writer
from flash_vaed.commands._plan import add_plan, planned
from flash_vaed.commands._streaming import streamed
from flash_vaed.contract import doubt
from flash_vaed.spec import DecoderSpec


def main(argv: list[str]) -> int:
    parser = parser_of("reconstruct", __doc__)
    parser.add_argument("video", metavar="IN", help="a video file")
    parser.add_argument("out", metavar="OUT", help=".mp4, .mkv, .mov, or frames as .npy, .pt")
    parser.add_argument("--teacher", required=True, metavar="PATH", help="a checkpoint with an encoder, or bundled")
    parser.add_argument("--decoder", metavar="PATH", help="another decoder of these latents (default: the teacher's)")
    add_clip(parser)
    parser.add_argument("--fps", type=frame_rate, help="frames per second (default: the video's own)")
    add_plan(parser)
    add_dtype(parser, "of the decoder")
    add_device(parser)
    given = parser.parse_args(argv)
    out = check_output(given.out)
    teacher = load_teacher(given.teacher)
    decoder = teacher.decoder if given.decoder is None else found(given.decoder)[1]
    _check_pair(teacher.decoder.spec, decoder.spec)
    x_NCTHW, fps = clip_of(given.video, teacher.decoder.spec, given.frames, given.size)
    z_NCthw = encoded(teacher, x_NCTHW, given.device)
    warn(doubt(z_NCthw, decoder.latents))
    decoder = decoder.to(given.device, DTYPES[given.dtype])
    plan, squared, done = planned(decoder, z_NCthw, given), 0.0, 0
    with frame_writer(out, given.fps or fps or Fraction(16), x_NCTHW.shape) as write:
        for frames_NCTHW in streamed(decoder, z_NCthw, plan):
            target = x_NCTHW[:, :, done : done + frames_NCTHW.shape[2]]
            squared += float((frames_NCTHW - target).double().square().sum())
            done += frames_NCTHW.shape[2]
            write(frames_NCTHW)
    psnr = 10 * math.log10(4 * x_NCTHW.numel() / squared) if squared else math.inf
    T, H, W = x_NCTHW.shape[2:]
    print(f"{out}: {T} frames of {H}x{W}, PSNR {psnr:.2f} dB")
    return 0


def _check_pair(teacher: DecoderSpec, decoder: DecoderSpec) -> None:
    """The decoder must read the latents that the teacher's encoder writes."""
    grids = [(s.latents.channels, s.temporal_scale, s.spatial_scale) for s in (teacher, decoder)]
    if grids[0] != grids[1]:
        raise ValueError(
            f"the teacher writes {teacher.latents.name} latents, the decoder reads {decoder.latents.name} ones: "
            f"channels, frames and pixels per latent are {grids[0]} and {grids[1]}"
        )
    if teacher.latents != decoder.latents:
        note(f"the teacher's latent space ({teacher.latents.name}) and the decoder's differ in their statistics")
