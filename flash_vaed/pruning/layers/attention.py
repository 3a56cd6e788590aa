"""Wan's attention within a frame: it keeps every channel."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from flash_vaed.pruning.layers.base import LAYERS, Cut, LayerKind


@LAYERS.register("flash_vaed.families.wan.FrameAttention")
class Attention(LayerKind):
    prunable = False

    def ties(self, layer: Any) -> bool:
        return True

    def width(self, layer: Any) -> int:
        return len(layer.norm.gamma)

    def writers(self, layer: Any) -> dict[str, Tensor]:
        return {}

    def cut(self, layer: Any, original: Any, cut: Cut) -> None:
        layer.load_state_dict(original.state_dict())
