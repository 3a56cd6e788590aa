"""Encode a video to latents with a teacher's encoder.

  python -m flash_vaed encode in.mp4 z.safetensors --teacher PATH [--normalize]
The latents are raw, as decoders here read them; --normalize gives them the scale of a diffusion model. They are written
as .safetensors, .npy or .pt, (1, C, t, h, w). Frames and sides that the latent grid cannot give are cut off, and a line
says so. The whole clip is held in memory; --frames takes its beginning only.
"""

from __future__ import annotations

from flash_vaed.checkpoint import load_teacher
from flash_vaed.commands._arguments import add_device, parser_of
from flash_vaed.commands._clips import add_clip, clip_of, encoded
from flash_vaed.commands._frames import check_output
from flash_vaed.latent_files import WRITERS, save_latents


def main(argv: list[str]) -> int:
    parser = parser_of("encode", __doc__)
    parser.add_argument("video", metavar="IN", help="a video file")
    parser.add_argument("out", metavar="OUT", help=", ".join(WRITERS))
    parser.add_argument("--teacher", required=True, metavar="PATH", help="a checkpoint with an encoder, or bundled")
    add_clip(parser)
    parser.add_argument("--normalize", action="store_true", help="write normalised latents instead of raw ones")
    add_device(parser)
    given = parser.parse_args(argv)
    out = check_output(given.out, tuple(WRITERS))
    teacher = load_teacher(given.teacher)
    x_NCTHW, _ = clip_of(given.video, teacher.decoder.spec, given.frames, given.size)
    z_NCthw = encoded(teacher, x_NCTHW, given.device)
    latents = teacher.decoder.latents
    save_latents(latents.normalize(z_NCthw) if given.normalize else z_NCthw, out)
    kind = "normalized" if given.normalize else "raw"
    print(f"{out}: {kind} {latents.name} latents {tuple(z_NCthw.shape)} of {tuple(x_NCTHW.shape[2:])} frames x H x W")
    return 0
