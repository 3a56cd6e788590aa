"""A linear encoder: every latent is one causal patch of video times a matrix.

It makes the bundled teacher's latent space cheap and reproducible. The start is principal component analysis of patches
(4 frames x 8 x 8 pixels, fitted in seconds); training may then move the matrix together with the decoder. The first
frame is repeated so that the first latent, too, covers a whole patch: T = 4 (t - 1) + 1 frames give t latents.

Two channels carry no video but a checkerboard each, alternating by row and by column. Nearest-neighbour upsampling
followed by a 3x3 convolution cannot tell the pixels of one latent cell apart where neighbouring latents agree; with a
carrier it can.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = (4, 8, 8)
CARRIERS = 2


class PatchEncoder(nn.Module):
    """(N, 3, T, H, W) in [-1, 1] -> raw latents (N, C, t, h, w); H and W multiples of 8, T = 4 (t - 1) + 1.

    overlap: pixels that a patch reaches into its neighbours on every side (borders repeat the edge pixel).
    """

    def __init__(self, channels: int, overlap: int = 0) -> None:
        super().__init__()
        size = PATCH[1] + 2 * overlap
        self.overlap = overlap
        learned = channels - CARRIERS
        if learned < 1:
            raise ValueError(f"a patch encoder needs more than {CARRIERS} channels, not {channels}")
        self.weight = nn.Parameter(torch.zeros(learned, 3, PATCH[0], size, size))  # rows of about unit norm
        self.bias = nn.Parameter(torch.zeros(learned))
        self.register_buffer("scale", torch.ones(learned))  # puts every latent channel at unit scale
        self.scale: Tensor

    def forward(self, x_NCTHW: Tensor) -> Tensor:
        _, C, T, H, W = x_NCTHW.shape
        if C != 3 or (T - 1) % PATCH[0] or H % PATCH[1] or W % PATCH[2]:
            raise ValueError(f"expected (N, 3, 4k + 1, 8h, 8w) video, got {tuple(x_NCTHW.shape)}")
        side = self.overlap
        padded = F.pad(x_NCTHW, (side, side, side, side, PATCH[0] - 1, 0), mode="replicate")
        z = F.conv3d(padded, self.weight * self.scale.view(-1, 1, 1, 1, 1), self.bias, stride=PATCH)
        return torch.cat([z, carriers(z)], dim=1)

    @property
    def channels(self) -> int:
        """Latent channels, carriers included."""
        return len(self.bias) + CARRIERS

    @torch.no_grad()
    def rescale(self, z_NCthw: Tensor, rate: float) -> None:
        """Move every channel of the encoder that gave `z` towards unit root mean square, by `rate` on a log scale."""
        learned = z_NCthw[:, : len(self.bias)].detach().float()
        factor = learned.square().mean(dim=(0, 2, 3, 4)).clamp_min(1e-12) ** (-rate / 2)
        self.scale.mul_(factor)
        self.bias.mul_(factor)

    @torch.no_grad()
    def fit(self, clips: list[Tensor]) -> float:
        """Set the matrix to the leading principal components of the clips' patches, whitened.

        clips: (N, 3, T, H, W) in [-1, 1]. Returns the share of variance that the components keep.
        """
        count, total, gram = 0, torch.zeros(()), torch.zeros(())
        for clip in clips:
            patches = patchify(clip).double()
            count += len(patches)
            total = total + patches.sum(dim=0)
            gram = gram + patches.T @ patches
        mean = total / count
        variance, components = torch.linalg.eigh(gram / count - torch.outer(mean, mean))
        channels = len(self.bias)
        variance, components = variance.flip(0)[:channels].clamp_min(1e-10), components.flip(1)[:, :channels]
        inner = slice(self.overlap, self.overlap + PATCH[1])
        self.weight.zero_()
        self.weight[..., inner, inner] = components.T.reshape(channels, 3, *PATCH).float()
        self.scale.copy_(variance.rsqrt())
        self.bias.copy_(-(components.T @ mean) * variance.rsqrt())
        return float(variance.sum() / torch.trace(gram / count - torch.outer(mean, mean)))


def carriers(like_NCthw: Tensor) -> Tensor:
    """Checkerboards (N, 2, t, h, w): +1, -1, ... along the rows, and along the columns."""
    N, _, t, h, w = like_NCthw.shape
    signs = [1.0 - 2.0 * (torch.arange(size, device=like_NCthw.device) % 2) for size in (h, w)]
    boards = torch.stack([signs[0].view(h, 1).expand(h, w), signs[1].view(1, w).expand(h, w)])
    return boards.to(like_NCthw.dtype).view(1, CARRIERS, 1, h, w).expand(N, CARRIERS, t, h, w)


def patchify(x_NCTHW: Tensor) -> Tensor:
    """Non-overlapping causal patches, (count, 3 * 4 * 8 * 8); the first frame is repeated."""
    padded = F.pad(x_NCTHW, (0, 0, 0, 0, PATCH[0] - 1, 0), mode="replicate")
    windows = padded.unfold(2, PATCH[0], PATCH[0]).unfold(3, PATCH[1], PATCH[1]).unfold(4, PATCH[2], PATCH[2])
    return windows.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(0, 3)
