"""The terms that phases add up. All take (N, C, T, H, W); frames are in [-1, 1].

Every term is a mean over clips, so that a batch which is split over processes has the mean of their losses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from torch import Tensor

from flash_vaed.lpips import LpipsNetwork

EPS = 1e-8
FLAT = (1 / 255) ** 2  # added to both variances, so that two flat frames are equally sharp
LUMA = (0.299, 0.587, 0.114)  # BT.601
L1_WEIGHT, SSIM_WEIGHT, LPIPS_WEIGHT = 10.0, 5.0, 2.0  # the paper's (arXiv 2602.19161)


class PixelLoss:
    """10 L1 + 5 (1 - SSIM) + 2 LPIPS per frame, the paper's. Without `lpips` the last term is left out."""

    def __init__(self, lpips: LpipsNetwork | None = None) -> None:
        self._lpips = lpips

    def __call__(self, candidate: Tensor, target: Tensor) -> Tensor:
        found = L1_WEIGHT * (candidate - target).abs().mean()
        found = found + SSIM_WEIGHT * (1 - frame_ssim(candidate, target))
        if self._lpips is not None:
            network = self._lpips.to(candidate.device)
            ours, theirs = (x.transpose(1, 2).flatten(0, 1).clamp(-1, 1) for x in (candidate, target))
            found = found + LPIPS_WEIGHT * network(theirs, ours).mean()
        return found


def frame_ssim(candidate: Tensor, target: Tensor) -> Tensor:
    """Mean structural similarity over frames (Wang et al. 2004, window 11 or the largest odd one that fits)."""
    side = min(candidate.shape[-2:])
    window = min(11, side if side % 2 else side - 1)
    frames = [x.transpose(1, 2).flatten(0, 1).clamp(-1, 1) for x in (candidate, target)]
    return ssim(frames[0] + 1, frames[1] + 1, data_range=2, win_size=window)


def psnr(candidate: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of frames in [-1, 1] (clamped), mean over clips; at most 100."""
    error = (candidate.clamp(-1, 1) - target.clamp(-1, 1)).square().flatten(1).mean(dim=1)
    return (-10 * torch.log10(error / 4 + 1e-10)).mean()


def relative_mse(candidate: Tensor, target: Tensor) -> Tensor:
    """Squared error over the target's energy, clip by clip, so that stages and clips of any loudness compare."""
    error, energy = (x.square().flatten(1).mean(dim=1) for x in (candidate - target, target))
    return (error / (energy + EPS)).mean()


def temporal_difference(x: Tensor) -> Tensor:
    """Frame t + 1 minus frame t; the clip itself where it has one frame only."""
    return x[:, :, 1:] - x[:, :, :-1] if x.shape[2] > 1 else x


def laplacian(x: Tensor) -> Tensor:
    """What a 2x2-pooled copy of the frame cannot show: the finest level of a Laplacian pyramid."""
    coarse = F.avg_pool3d(x, (1, 2, 2))
    return x - F.interpolate(coarse, size=x.shape[2:], mode="trilinear")


def detail_energy(candidate: Tensor, target: Tensor) -> Tensor:
    """How far frames are from being as sharp as their targets: |log| of the ratio of their Laplacians' variances, mean
    over frames. Takes 3 channels, RGB.

    An L1 or L2 loss makes the mean of what could be, which is soft; this one asks for as much detail as there was. The
    Laplacian is the 4-neighbour one of luma (Pech-Pacheco et al., ICPR 2000).
    """
    ours, theirs = (_laplacian_variance(x) + FLAT for x in (candidate, target))
    return (ours / theirs).log().abs().mean()


def _laplacian_variance(x_NCTHW: Tensor) -> Tensor:
    """Variance over the inner pixels of each frame."""
    y = torch.tensordot(x_NCTHW, x_NCTHW.new_tensor(LUMA), dims=([1], [0]))
    neighbours = y[..., :-2, 1:-1] + y[..., 2:, 1:-1] + y[..., 1:-1, :-2] + y[..., 1:-1, 2:]
    return (neighbours - 4 * y[..., 1:-1, 1:-1]).flatten(2).var(dim=2, correction=0)
