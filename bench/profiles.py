"""Devices this project is measured on, with what their makers publish: dense rates, no sparsity, for rooflines.

16-bit tensor rates accumulate in float32. None: not published, or not clear. Real cards boost higher or are capped
lower, so every run also measures its own rates (`bench/calibration.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """model: how the device's name, or its board's, ends or is contained. Rates in TFLOP/s, traffic in GB/s."""

    model: str
    tensor16_tflops: float | None
    float32_tflops: float
    memory_gbps: float
    board: bool = False

    def fits(self, gpu: str, board: str | None) -> bool:
        """Whether this is the device called so; a 5090 D is no 5090."""
        return self.model in (board or "") if self.board else gpu.endswith(self.model)


PROFILES: dict[str, Profile] = {
    "rtx4090": Profile("RTX 4090", 165.2, 82.6, 1008),
    "rtx5090": Profile("RTX 5090", 209.5, 104.8, 1792),
    "rtx5090d": Profile("RTX 5090 D", None, 104.8, 1792),  # its makers cut "AI TOPS"; by how much in 16 bit is not said
    "h100": Profile("H100 80GB HBM3", 989.4, 66.9, 3350),
    "h200": Profile("H200", 989.4, 66.9, 4800),
    "orin_agx": Profile("AGX Orin", 42.6, 5.3, 204.8, board=True),  # 64 GB at MAXN; 85 and 275 "TOPS" are sparse
    "orin_nx": Profile("Orin NX", 15.0, 1.9, 102.4, board=True),  # 16 GB at 918 MHz
}


def profile_of(gpu: str, board: str | None) -> str | None:
    """The name of the profile that a device fits, or None."""
    return next((name for name, profile in PROFILES.items() if profile.fits(gpu, board)), None)
