"""What a norm of residual blocks is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn


class Norm(nn.Module, ABC):
    """Each pixel over the size of its channels."""

    @abstractmethod
    def forward(self, x_NCTHW: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape and dtype; reduced in float32."""

    def then_silu(self, x_NCTHW: Tensor) -> Tensor:
        """The norm and the SiLU behind it, which a runtime may do in one."""
        return F.silu(self(x_NCTHW))
