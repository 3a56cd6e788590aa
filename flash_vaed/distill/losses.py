"""The terms that phases add up. All take (N, C, T, H, W) and return a scalar; frames are in [-1, 1].

The weights of the pixel loss are the paper's (10 L1 + 5 (1 - SSIM), arXiv 2602.19161). Its third term, 2 LPIPS, needs a
backbone that has to be downloaded and is not part of these recipes.
"""

from __future__ import annotations

import torch.nn.functional as F
from pytorch_msssim import ssim
from torch import Tensor

EPS = 1e-8


def pixel_loss(candidate: Tensor, target: Tensor) -> Tensor:
    """10 L1 + 5 (1 - SSIM per frame)."""
    return 10 * (candidate - target).abs().mean() + 5 * (1 - frame_ssim(candidate, target))


def frame_ssim(candidate: Tensor, target: Tensor) -> Tensor:
    """Mean structural similarity over frames (Wang et al. 2004, window 11 or the largest odd one that fits)."""
    side = min(candidate.shape[-2:])
    window = min(11, side if side % 2 else side - 1)
    frames = [x.transpose(1, 2).flatten(0, 1).clamp(-1, 1) for x in (candidate, target)]
    return ssim(frames[0] + 1, frames[1] + 1, data_range=2, win_size=window)


def relative_mse(candidate: Tensor, target: Tensor) -> Tensor:
    """Squared error over the target's energy, so that stages of any loudness compare."""
    return (candidate - target).square().mean() / (target.square().mean() + EPS)


def temporal_difference(x: Tensor) -> Tensor:
    """Frame t + 1 minus frame t; the clip itself where it has one frame only."""
    return x[:, :, 1:] - x[:, :, :-1] if x.shape[2] > 1 else x


def laplacian(x: Tensor) -> Tensor:
    """What a 2x2-pooled copy of the frame cannot show: the finest level of a Laplacian pyramid."""
    coarse = F.avg_pool3d(x, (1, 2, 2))
    return x - F.interpolate(coarse, size=x.shape[2:], mode="trilinear")
