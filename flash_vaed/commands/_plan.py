"""How a command decodes: in chunks, in tiles, or in whatever fits a memory budget."""

from __future__ import annotations

import argparse
import re

from torch import Tensor

from flash_vaed.commands._arguments import positive
from flash_vaed.commands._clips import note
from flash_vaed.decoder import Decoder
from flash_vaed.decoding import DecodePlan, plan_decode, plan_of

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def add_plan(parser: argparse.ArgumentParser) -> None:
    """`--chunk`, `--tile` and `--memory`."""
    parser.add_argument("--chunk", type=positive, help="latents decoded at once (default: 1, or what --memory allows)")
    parser.add_argument(
        "--tile", type=positive, help="side in latent pixels of tiles decoded one by one, without seams"
    )
    parser.add_argument("--memory", type=memory_size, metavar="SIZE", help="plan to fit: 4GB, 500MB, or auto")


def planned(decoder: Decoder, z_NCthw: Tensor, given: argparse.Namespace) -> DecodePlan:
    """The plan that `add_plan`'s options ask for; one that was made for a budget is told."""
    if given.memory is None:
        return plan_of(given.chunk or 1, given.tile)
    dtype = next(decoder.parameters()).dtype
    plan = plan_decode(decoder, z_NCthw.shape, dtype, given.memory, given.chunk, given.tile, keep_frames=False)
    note(f"decoding in {plan}")
    return plan


def memory_size(text: str) -> int | str:
    """Bytes from 4GB, 500MB or a plain number; "auto" stays."""
    if text == "auto":
        return text
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.lower())
    if not found or found[2] not in _UNITS or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 4GB, 500MB or auto")
    return int(float(found[1]) * _UNITS[found[2]])
