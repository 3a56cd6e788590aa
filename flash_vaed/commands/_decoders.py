"""Which decoder a command means: a checkpoint, the bundled teacher, or a built-in spec without weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from flash_vaed.checkpoint import identify
from flash_vaed.decoder import Decoder, seeded_decoder
from flash_vaed.families.zoo import SPECS
from flash_vaed.spec import DecoderSpec
from flash_vaed.teacher import BUNDLED


def spec_named(name: str) -> DecoderSpec | None:
    """The built-in spec of this name, unless a file or folder is called so."""
    return None if Path(name).exists() else SPECS.get(name)


def found(name: str) -> tuple[str, Decoder]:
    """What kind of checkpoint `name` is, in words, and its decoder. "bundled" is this project's own teacher."""
    if name == "bundled":
        return "bundled teacher", identify(BUNDLED)[1]
    return identify(name)


def add_decoder(parser: argparse.ArgumentParser) -> None:
    """`--decoder` and `--random-weights`."""
    parser.add_argument(
        "--decoder", required=True, metavar="PATH", help=f"a checkpoint, bundled, or a spec: {', '.join(SPECS)}"
    )
    parser.add_argument(
        "--random-weights", type=int, metavar="SEED", help="run a spec without a checkpoint: noise at the real speed"
    )


def chosen(name: str, seed: int | None) -> Decoder:
    """The decoder that `add_decoder`'s options name, frozen."""
    spec = spec_named(name)
    if seed is None:
        if spec is not None:
            raise ValueError(f"{name} is a spec without weights; --random-weights SEED runs it, for speed and memory")
        return found(name)[1]
    if spec is None:
        raise ValueError(f"--random-weights takes a built-in spec ({', '.join(SPECS)}), not {name}")
    return seeded_decoder(spec, seed)
