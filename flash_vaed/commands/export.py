"""Write a decoder as graphs of fixed shape for other runtimes: ONNX, or a library compiled by AOTInductor.

  python -m flash_vaed export student/ graphs/ --height 480 --width 832 --dtype float16
  python -m flash_vaed export student/ library/ --height 480 --width 832 --kind aot --device cuda
A folder holds the step of a clip's first latent and that of all later ones; what a step remembers goes in and out by
name. `python -m flash_vaed engines graphs/` makes TensorRT engines of ONNX graphs, on the machine that is to run them.
"""

from __future__ import annotations

from flash_vaed.commands._arguments import add_device, add_dtype, parser_of, positive
from flash_vaed.commands._decoders import chosen
from flash_vaed.commands._folder import new_folder
from flash_vaed.families.zoo import SPECS
from flash_vaed.runtime import RuntimeOptions, optimize
from flash_vaed.runtime.portable import KINDS, export_graphs

REWRITES = ("values", "composed", "subpixel")


def main(argv: list[str]) -> int:
    parser = parser_of("export", __doc__)
    parser.add_argument("decoder", metavar="DECODER", help=f"a checkpoint, bundled, or a spec: {', '.join(SPECS)}")
    parser.add_argument("folder", metavar="OUT", help="the folder to write")
    parser.add_argument("--height", type=positive, required=True, help="of the frames, in pixels")
    parser.add_argument("--width", type=positive, required=True)
    parser.add_argument("--chunk", type=positive, default=1, help="latents that a later step takes (default: 1)")
    parser.add_argument("--kind", choices=KINDS, default="onnx")
    parser.add_argument("--random-weights", type=int, metavar="SEED", help="of a spec without a checkpoint")
    add_dtype(parser, "of weights, state and frames")
    add_device(parser)
    given = parser.parse_args(argv)
    folder = new_folder(given.folder)
    decoder = chosen(given.decoder, given.random_weights).to(given.device)
    options = RuntimeOptions(given.dtype, REWRITES, channels_last=given.kind == "aot")
    for path in export_graphs(optimize(decoder, options), folder, given.height, given.width, given.chunk, given.kind):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0
