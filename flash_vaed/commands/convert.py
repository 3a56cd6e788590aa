"""Turn a checkpoint of any known layout into a flash_vaed folder: decoder.json and decoder.safetensors.

  python -m flash_vaed convert Wan2.1_VAE.pth wan2.1/ --dtype float16
Only the decoder is kept. The folder must not exist yet, or be empty.
"""

from __future__ import annotations

from flash_vaed.commands._arguments import DTYPES, add_dtype, parser_of
from flash_vaed.commands._decoders import found, spec_named
from flash_vaed.commands._folder import new_folder, write_decoder


def main(argv: list[str]) -> int:
    parser = parser_of("convert", __doc__)
    parser.add_argument("source", metavar="IN", help="a checkpoint, a folder, or bundled")
    parser.add_argument("folder", metavar="OUT", help="the folder to write")
    add_dtype(parser, "of the stored weights")
    given = parser.parse_args(argv)
    folder = new_folder(given.folder)
    if spec_named(given.source) is not None:
        raise ValueError(f"{given.source} is a spec without weights; convert takes a checkpoint")
    layout, decoder = found(given.source)
    write_decoder(decoder, folder, DTYPES[given.dtype])
    parameters = sum(p.numel() for p in decoder.parameters())
    print(f"{folder}: {decoder.spec.family} decoder of {parameters:,} parameters, {given.dtype}, from {layout}")
    return 0
