"""Make a smaller decoder: fewer channels, cheaper operators, refitted in closed form. No training yet.

  python -m flash_vaed compress small/ z1.safetensors z2.pt --decoder PATH --stage up2=conv2d:24 --stage up3=conv2d:12
  python -m flash_vaed compress small/ z.safetensors --decoder PATH --stage mid=depthwise3d --stage up1=:192
A stage is NAME=OPERATOR, NAME=:CHANNELS or both. The latents calibrate: a few dozen clips of what the decoder is for,
raw (or --latents normalized). A long one is cut into pieces of --clip latents, so that memory does not grow with it;
time does. The folder must not exist yet, or be empty.
"""

from __future__ import annotations

import argparse
import time

from flash_vaed.commands._arguments import DTYPES, add_dtype, parser_of
from flash_vaed.commands._decoders import add_decoder, chosen
from flash_vaed.commands._folder import new_folder, write_decoder
from flash_vaed.commands.decode import as_raw
from flash_vaed.contract import READINGS
from flash_vaed.latent_files import read_latents
from flash_vaed.operators import OPERATORS
from flash_vaed.pruning import CRITERIA, CompressionPlan, StageEdit, compress
from flash_vaed.pruning.plan import STARTS, SUBSETS, WEIGHTINGS, student_spec

CLIP = 5  # latents: 17 frames, as long as the clips of the studies


def main(argv: list[str]) -> int:
    default = CompressionPlan()
    parser = parser_of("compress", __doc__)
    parser.add_argument("folder", metavar="OUT", help="the folder to write")
    parser.add_argument(
        "files", metavar="LATENTS", nargs="+", help="latents to calibrate on, one file per clip or more"
    )
    add_decoder(parser)
    parser.add_argument("--stage", type=stage_edit, action="append", default=[], metavar="NAME=OPERATOR:CHANNELS")
    parser.add_argument("--latents", choices=READINGS, default="raw", help="what the latents are (default: raw)")
    parser.add_argument("--criterion", choices=CRITERIA.names(), default=default.criterion)
    parser.add_argument("--weighting", choices=WEIGHTINGS, default=default.weighting)
    parser.add_argument("--subsets", choices=SUBSETS, default=default.subsets)
    parser.add_argument("--start", choices=STARTS, default=default.start)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--clip", type=int, default=CLIP, metavar="N", help="latents of a piece (default: %(default)s)")
    add_dtype(parser, "of the stored weights")
    given = parser.parse_args(argv)
    folder = new_folder(given.folder)
    if not given.stage:
        raise ValueError("nothing to change: name at least one --stage NAME=OPERATOR:CHANNELS")
    plan = CompressionPlan(
        dict(given.stage),  # type: ignore[arg-type]
        criterion=given.criterion, weighting=given.weighting, subsets=given.subsets, start=given.start,
        seed=given.seed,
    )  # fmt: skip
    decoder = chosen(given.decoder, given.random_weights)
    student_spec(decoder.spec, plan)  # what cannot be built is refused before latents are read
    if given.clip < 2:
        raise ValueError(f"--clip {given.clip}: a piece has at least 2 latents, or nothing is learned of time")
    whole = [as_raw(read_latents(file), decoder.latents, given.latents) for file in given.files]
    latents = [piece for z_NCthw in whole for piece in z_NCthw.split(given.clip, dim=2)]
    begun_s = time.perf_counter()
    made = compress(decoder, plan, latents)
    write_decoder(made.decoder, folder, DTYPES[given.dtype])
    before, after = (sum(p.numel() for p in d.parameters()) for d in (decoder, made.decoder))
    print(f"{folder}: {after:,} of {before:,} parameters, in {time.perf_counter() - begun_s:.1f} s")
    for name, kept in made.narrowed().items():
        print(
            f"  {name}: {len(kept.channels)} channels rebuild {kept.r2:.1%} of its variance (at most {kept.bound:.1%})"
        )
    return 0


def stage_edit(text: str) -> tuple[str, StageEdit]:
    """NAME=OPERATOR, NAME=:CHANNELS or NAME=OPERATOR:CHANNELS."""
    name, equals, edit = text.partition("=")
    operator, _, width = edit.partition(":")
    if not (name and equals and edit) or (width and not width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=OPERATOR:CHANNELS")
    try:
        if operator:
            OPERATORS.get(operator)
        return name, StageEdit(operator or None, channels=int(width) if width else None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
