"""What a metric is: two clips in, numbers per frame or one per clip out, with a name, version, unit and direction.

A new metric is one new file in this package with one registered class. Its version is part of every stored row and of
the protocol: change it whenever a value may change, and old and new numbers are never ranked together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from bench.metrics.ranges import check_pair
from flash_vaed.registry import Registry


class NotApplicable(ValueError):
    """These clips are well formed but the metric is not defined on them (too small, too short)."""


class Metric(ABC):
    """Compares a candidate clip with a reference clip of the same shape.

    Calling it takes float tensors `x_CTHW` in [-1, 1] and gives `(T,)` values, or a `()` value for a whole clip, as
    float64 on the reference's device. Wrong shapes and ranges are `ValueError`; clips on which it is not defined are
    `NotApplicable`.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    unit: ClassVar[str]  # "1" for a plain number
    higher_is_better: ClassVar[bool]
    expected_range: ClassVar[tuple[float, float]]  # a value outside it points to a mistake

    def unavailable(self) -> str | None:
        """None when the metric can run here; otherwise one line: what is absent and the command that gets it."""
        return None

    def __call__(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        check_pair(reference_CTHW, candidate_CTHW)
        with torch.no_grad(), torch.autocast(reference_CTHW.device.type, enabled=False):
            return self.measure(reference_CTHW, candidate_CTHW.to(reference_CTHW.device)).double()

    @abstractmethod
    def measure(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        """The values; the inputs are checked, nothing is recorded for gradients, autocast is off."""


METRICS: Registry[type[Metric]] = Registry("metric", package="bench.metrics")


def make_metric(name: str) -> Metric:
    """The metric registered as `name`, ready to call; an unknown name is a `ValueError` with the nearest one."""
    return METRICS.get(name)()
