"""LPIPS of every frame; the network is the library's (`flash_vaed/lpips.py`)."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from bench.metrics.base import METRICS, Metric, NotApplicable
from flash_vaed.lpips import SMALLEST_FRAME, LpipsNetwork, backbone_file, load_lpips, lpips_unavailable

FRAMES_AT_ONCE = 8  # bounds memory


@METRICS.register("lpips")
class Lpips(Metric):
    """LPIPS distance of each frame: 0 is identical. Frames need 32 pixels each way."""

    name = "lpips"
    version = "1: LPIPS 0.1 alex, mean over pixels"
    unit = "1"
    higher_is_better = False
    expected_range = (0.0, 2.0)

    def __init__(self, backbone: str | os.PathLike[str] | None = None) -> None:
        """`backbone`: AlexNet file; by default the environment variable or the torch hub cache says where it is."""
        self._backbone = backbone_file(backbone)
        self._network: LpipsNetwork | None = None

    def unavailable(self) -> str | None:
        return lpips_unavailable(self._backbone)

    def measure(self, reference_CTHW: Tensor, candidate_CTHW: Tensor) -> Tensor:
        height, width = reference_CTHW.shape[2:]
        if min(height, width) < SMALLEST_FRAME:
            raise NotApplicable(f"LPIPS needs frames of at least {SMALLEST_FRAME} pixels, got {height} x {width}")
        network = self._loaded().to(reference_CTHW.device)
        reference_TCHW, candidate_TCHW = (x.float().transpose(0, 1) for x in (reference_CTHW, candidate_CTHW))
        pairs = zip(reference_TCHW.split(FRAMES_AT_ONCE), candidate_TCHW.split(FRAMES_AT_ONCE), strict=True)
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            return torch.cat([network(*pair) for pair in pairs])

    def _loaded(self) -> LpipsNetwork:
        if self._network is None:
            self._network = load_lpips(self._backbone)
        return self._network
