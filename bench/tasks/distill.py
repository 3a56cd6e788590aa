"""A decoder to keep: train the student, write it into a folder of its own, and say how good it has become.

The folder is read by `flash_vaed.load_decoder`, `python -m flash_vaed` and `to_diffusers_folder`.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.tasks.base import TASKS, Row, Workbench
from bench.tasks.reconstruct import quality_rows


@TASKS.register("distill")
def distill(bench: Workbench) -> Iterator[Row]:
    """Rows of quality per clip and frame, as `reconstruct` has them; nothing is timed."""
    bench.say(f"kept {bench.keep()}")
    bench.say("quality")
    yield from quality_rows(bench, bench.evaluation())
