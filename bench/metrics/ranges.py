"""The one place where value ranges are checked and converted, so that no metric can quietly see the wrong one.

Everything outside this package is in [-1, 1]. Wrong ranges do not fail loudly by themselves: SSIM with a data range of
255 on [0, 1] frames is 1.0000, and min-max scaling hides a contrast error worth 8 dB. Hence nothing is rescaled to fit.
"""

from __future__ import annotations

import torch
from torch import Tensor

DATA_RANGE = 2.0  # width of [-1, 1]
TOLERANCE = 1e-3
LUMA_BT601 = (0.299, 0.587, 0.114)


def check_pair(reference_CTHW: Tensor, candidate_CTHW: Tensor) -> None:
    """Refuse, with `ValueError`, clips that are not (3, T, H, W), differ in shape, or leave [-1, 1]."""
    for label, clip_CTHW in (("reference", reference_CTHW), ("candidate", candidate_CTHW)):
        _check_clip(label, clip_CTHW)
    if reference_CTHW.shape != candidate_CTHW.shape:
        shapes = f"{tuple(reference_CTHW.shape)} and {tuple(candidate_CTHW.shape)}"
        raise ValueError(f"reference and candidate differ in shape: {shapes}; cut and size both alike")


def _check_clip(label: str, clip_CTHW: Tensor) -> None:
    if clip_CTHW.dim() != 4 or clip_CTHW.shape[0] != 3 or clip_CTHW.numel() == 0:
        raise ValueError(f"{label} must have shape (3, T, H, W), got {tuple(clip_CTHW.shape)}")
    if not clip_CTHW.is_floating_point():
        raise ValueError(f"{label} must be floating point in [-1, 1], got {clip_CTHW.dtype}")
    if not torch.isfinite(clip_CTHW).all():
        raise ValueError(f"{label} holds values that are not finite")
    low, high = clip_CTHW.min().item(), clip_CTHW.max().item()
    if low < -1.0 - TOLERANCE or high > 1.0 + TOLERANCE:
        raise ValueError(f"{label} leaves [-1, 1]: it spans {low:.4g} to {high:.4g}; clamp or convert it first")


def to_zero_one(x: Tensor) -> Tensor:
    """[-1, 1] to [0, 1], for formulas that are not blind to a shift (SSIM)."""
    return (x + 1.0) / 2.0


def luma(x_CTHW: Tensor) -> Tensor:
    """BT.601 luma `(T, H, W)` of RGB frames, in the range of the input."""
    weights = torch.tensor(LUMA_BT601, dtype=x_CTHW.dtype, device=x_CTHW.device)
    return torch.einsum("c,cthw->thw", weights, x_CTHW)
