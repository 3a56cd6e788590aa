"""Training curves for TensorBoard, where it is installed: `tensorboard --logdir .cache/curves`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flash_vaed.distill import Progress


class Curves:
    """Writes what a training watches, a point per step, into `folder`; None, or no tensorboard, writes nothing."""

    def __init__(self, folder: Path | None, warn: Callable[[str], None]) -> None:
        self._folder, self._warn = folder, warn
        self._writer: Any = None

    def __enter__(self) -> Curves:
        if self._folder is None:
            return self
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._warn("training curves are not written for TensorBoard: pip install tensorboard")
            return self
        self._writer = SummaryWriter(str(self._folder))
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, progress: Progress) -> None:
        """One step of one phase."""
        if self._writer is not None:
            for name, value in progress.values.items():
                self._writer.add_scalar(f"{progress.phase}/{name}", value, progress.done)
