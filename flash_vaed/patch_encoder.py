"""A linear encoder: every latent is one causal patch of video times a matrix.

It makes the bundled teacher's latent space cheap and reproducible. The start is principal component analysis of patches
(4 frames x 8 x 8 pixels, fitted in seconds); training may then move the matrix together with the decoder. The first frame is
repeated so that the first latent, too, covers a whole patch: T = 4 (t - 1) + 1 frames give t latents.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = (4, 8, 8)


class PatchEncoder(nn.Module):
    """(N, 3, T, H, W) in [-1, 1] -> raw latents (N, C, t, h, w); H and W multiples of 8, T = 4 (t - 1) + 1.

    overlap: pixels that a patch reaches into its neighbours on every side (borders repeat the edge pixel).
    """

    def __init__(self, channels: int, overlap: int = 0) -> None:
        super().__init__()
        size = PATCH[1] + 2 * overlap
        self.overlap = overlap
        self.weight = nn.Parameter(torch.zeros(channels, 3, PATCH[0], size, size))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        N, C, T, H, W = x_NCTHW.shape
        if C != 3 or (T - 1) % PATCH[0] or H % PATCH[1] or W % PATCH[2]:
            raise ValueError(f"expected (N, 3, 4k + 1, 8h, 8w) video, got {tuple(x_NCTHW.shape)}")
        side = self.overlap
        padded = F.pad(x_NCTHW, (side, side, side, side, PATCH[0] - 1, 0), mode="replicate")
        return F.conv3d(padded, self.weight, self.bias, stride=PATCH)

    @torch.no_grad()
    def fit(self, clips: list[Tensor]) -> float:
        """Set the matrix to the leading principal components of the clips' patches, whitened.

        clips: (N, 3, T, H, W) in [-1, 1]. Returns the share of variance that the components keep.
        """
        count, total, gram = 0, 0.0, 0.0
        for clip in clips:
            patches = patchify(clip).double()
            count += len(patches)
            total = total + patches.sum(dim=0)
            gram = gram + patches.T @ patches
        mean = total / count
        variance, components = torch.linalg.eigh(gram / count - torch.outer(mean, mean))
        channels = len(self.bias)
        variance, components = variance.flip(0)[:channels].clamp_min(1e-10), components.flip(1)[:, :channels]
        rows = (components / variance.sqrt()).T
        self.weight.zero_()
        inner = slice(self.overlap, self.overlap + PATCH[1])
        self.weight[..., inner, inner] = rows.reshape(channels, 3, *PATCH).float()
        self.bias.copy_(-(rows @ mean).float())
        return float(variance.sum() / torch.trace(gram / count - torch.outer(mean, mean)))


def patchify(x_NCTHW: Tensor) -> Tensor:
    """Non-overlapping causal patches, (count, 3 * 4 * 8 * 8); the first frame is repeated."""
    padded = F.pad(x_NCTHW, (0, 0, 0, 0, PATCH[0] - 1, 0), mode="replicate")
    windows = padded.unfold(2, PATCH[0], PATCH[0]).unfold(3, PATCH[1], PATCH[1]).unfold(4, PATCH[2], PATCH[2])
    return windows.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(0, 3)
