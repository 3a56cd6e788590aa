"""Build TensorRT engines from exported ONNX graphs, with the trtexec of this machine (a Jetson's own, for example).

  python -m flash_vaed engines graphs/
Engines fit the machine and the TensorRT that built them. Number types are those of the ONNX files: export with
--dtype float16. With --show the commands are printed and not run.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from flash_vaed.commands._arguments import parser_of
from flash_vaed.runtime.portable import MANIFEST

JETSON = "/usr/src/tensorrt/bin/trtexec"  # where JetPack puts it, off the PATH


def main(argv: list[str]) -> int:
    parser = parser_of("engines", __doc__)
    parser.add_argument("folder", metavar="GRAPHS", type=Path, help="a folder of `python -m flash_vaed export`")
    parser.add_argument("--trtexec", metavar="FILE", help=f"default: on the PATH, or {JETSON}")
    parser.add_argument("--workspace", type=int, default=4096, metavar="MIB", help="memory for tactics (default: 4096)")
    parser.add_argument("--show", action="store_true", help="print the commands instead of running them")
    given = parser.parse_args(argv)
    commands = engine_commands(given.folder, given.trtexec or _trtexec(given.show), given.workspace)
    for command in commands:
        print(shlex.join(command), flush=True)
        if not given.show and (code := subprocess.run(command).returncode):
            raise ValueError(f"trtexec ended with exit code {code}; its last lines above say why")
    return 0


def engine_commands(folder: Path, trtexec: str, workspace_mib: int) -> list[list[str]]:
    """One command per graph of the folder. Types are taken from the file, fp16 kernels allowed where it is fp16."""
    try:
        document = json.loads((folder / MANIFEST).read_text())
        kind, dtype, graphs = document["kind"], document["dtype"], document["graphs"]
        files = [folder / Path(graph["file"]).name for graph in graphs.values()]
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} holds no exported graphs: {error}") from error
    if kind != "onnx":
        raise ValueError(f"{folder} holds graphs of kind {kind}; export them with --kind onnx")
    flags = ["--fp16"] if dtype == "float16" else ["--bf16"] if dtype == "bfloat16" else []
    pool = f"--memPoolSize=workspace:{workspace_mib}"
    return [
        [trtexec, f"--onnx={file}", f"--saveEngine={file.with_suffix('.engine')}", *flags, pool, "--skipInference"]
        for file in files
    ]


def _trtexec(only_shown: bool) -> str:
    found = shutil.which("trtexec") or shutil.which(JETSON)
    if found is None and not only_shown:
        raise ValueError(f"no trtexec on the PATH nor at {JETSON}; install TensorRT, or give --trtexec FILE")
    return found or "trtexec"
