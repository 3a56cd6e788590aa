"""A patch discriminator (Isola et al., CVPR 2017) with a hinge loss and spectral norms, and its training."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from flash_vaed.distill.processes import mean_gradients

WIDTHS = (32, 64, 128)
LR = 2e-4


def patch_critic() -> nn.Sequential:
    """Frames (M, 3, H, W) -> a score per patch of 22 pixels (M, 1, h, w); high means real."""
    layers: list[nn.Module] = []
    width_in = 3
    for width in WIDTHS:
        stride = 1 if width == WIDTHS[-1] else 2
        layers += [spectral_norm(nn.Conv2d(width_in, width, 4, stride, 1)), nn.LeakyReLU(0.2)]
        width_in = width
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(width_in, 1, 4, 1, 1)))


class CriticTraining:
    """The critic, its optimiser, and the frames that it learns from next. like: has its device and type of weights."""

    def __init__(self, like: Tensor) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same critic in every process
            self.critic = patch_critic().to(like.device, like.dtype)
        self._optimizer = torch.optim.AdamW(self.critic.parameters(), lr=LR, betas=(0.5, 0.9), weight_decay=0.0)
        self._seen: tuple[Tensor, Tensor] | None = None

    def verdict(self, frames_NCTHW: Tensor, target_NCTHW: Tensor) -> Tensor:
        """How little the critic is taken in by `frames`, a scalar with gradients for them alone; both are kept to learn
        from.
        """
        self._seen = (frames_NCTHW.detach(), target_NCTHW.detach())
        self.critic.requires_grad_(False)
        return -self.critic(_as_pictures(frames_NCTHW)).mean()

    def step(self) -> None:
        """Learn to tell the frames that were judged last from their targets."""
        if self._seen is None:
            return
        made, real = self._seen
        self.critic.requires_grad_(True)
        loss = F.relu(1 - self.critic(_as_pictures(real))).mean() + F.relu(1 + self.critic(_as_pictures(made))).mean()
        loss.backward()
        mean_gradients(self.critic)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {"critic": self.critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.critic.load_state_dict(state["critic"])
        self._optimizer.load_state_dict(state["optimizer"])


def _as_pictures(frames_NCTHW: Tensor) -> Tensor:
    return frames_NCTHW.transpose(1, 2).flatten(0, 1)
