"""VBench 1.0's `temporal_flickering` by its own package, in its own interpreter: the one dimension without weights.

A value is (255 - mean |f_t - f_(t+1)|) / 255 over a video's frames as 8-bit pictures (`vbench/temporal_flickering.py`,
version 0.1.5): 1 for a still picture.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.vbench2.evaluator import run_logged
from bench.vbench2.layout import lay_out
from bench.vbench2.scores import Score, read_score

DIMENSION = "temporal_flickering"
GET = (
    "get it into an environment of its own: python -m venv vbench-env && vbench-env/bin/pip install torch torchvision "
    "decord opencv-python-headless tqdm && vbench-env/bin/pip install --no-deps vbench==0.1.5, then "
    "--python vbench-env/bin/python"
)
_PROGRAM = """
import sys
from vbench import VBench
videos, out = sys.argv[1:]
VBench("cpu", "", out).evaluate(videos, "quick", dimension_list=["temporal_flickering"], mode="custom_input")
"""


def videos_in(folder: Path) -> list[str]:
    """Names of the videos of one arm; a folder without any is a `ValueError`."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".mp4" and path.is_file())
    if not names:
        raise ValueError(f"{folder} holds no .mp4 file")
    return names


def check_python(python: str) -> None:
    """`ValueError`, with the way to get it, where `python` cannot import the package."""
    with tempfile.TemporaryDirectory() as folder:
        ended = run_logged([python, "-c", "import vbench"], Path(folder), Path(folder) / "log", 300)
    if ended.reason:
        where = "this interpreter" if python == sys.executable else python
        raise ValueError(f"{where} cannot import vbench ({ended.reason}); {GET}")


def score(python: str, folder: Path, timeout_s: float) -> Score:
    """The score of all videos in `folder`. `ValueError` when VBench fails or leaves a video out."""
    names = videos_in(folder)
    with tempfile.TemporaryDirectory() as scratch:
        links, out = Path(scratch) / "videos", Path(scratch) / "out"
        lay_out(folder, links, names)
        command = [python, "-c", _PROGRAM, str(links), str(out)]
        ended = run_logged(command, Path(scratch), Path(scratch) / "log", timeout_s)
        if ended.reason:
            raise ValueError(f"vbench failed on {folder}: {ended.reason}")
        try:
            found = read_score(out, DIMENSION, names, may_be_invalid=False)
        except ValueError as error:
            raise ValueError(f"vbench on {folder}: {error}; it leaves out videos it cannot read") from None
    if found is None:
        raise ValueError(f"vbench left no result for {folder}")
    return found
