"""A process that wants one artefact of a shared cache:  python -m tests.bench.cache_users FOLDER SECONDS

Making it takes so many seconds; whoever makes it adds a line to FOLDER/made before and after.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch

from bench import cache as module
from bench.cache import Artefact, Cache

KEY = {"shared": 1}


def main(folder: Path, seconds: float) -> None:
    module.code_fingerprint = lambda: "0"  # type: ignore[assignment]  # it takes a second to compute

    def build() -> Artefact:
        _note(folder, f"begin {os.getpid()}")
        time.sleep(seconds)
        _note(folder, f"end {os.getpid()}")
        return Artefact({"x": torch.arange(1000.0)}, {"by": os.getpid()})

    print("ready", flush=True)
    sys.stdin.readline()
    made = Cache(folder / "cache", lambda line: print(f"warning {line}", flush=True)).fetch("kind", KEY, build)
    print(int(made.tensors["x"].sum()), made.document["by"], flush=True)


def _note(folder: Path, line: str) -> None:
    with (folder / "made").open("a") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
