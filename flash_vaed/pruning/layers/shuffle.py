"""LTX-Video's upsampler: a convolution to eight times the channels, dealt out to two frames of 2x2 pixels.

Output rows 8c to 8c + 7 are the eight phases of channel c, so they stay or go together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from flash_vaed.operators.base import Index, at
from flash_vaed.pruning.layers.base import LAYERS, Clip, Cut, LayerKind, Read
from flash_vaed.pruning.regression import solve
from flash_vaed.state import Stream

PHASES = 8
MOST_COLUMNS = 7000  # of a regression that only makes up for errors further up: the released width needs 13,824


@LAYERS.register("flash_vaed.families.ltx.ShuffleUpsampler")
class Shuffle(LayerKind):
    def width(self, layer: Any) -> int:
        return layer.conv.out_channels // PHASES

    def writers(self, layer: Any) -> dict[str, Tensor]:
        return {"writes": layer.conv.rows().reshape(self.width(layer), -1)}

    def reads(self, layer: Any) -> dict[str, Read]:
        return {"reads": Read("", layer.conv.rows(), None)}

    def cut(self, layer: Any, original: Any, cut: Cut) -> None:
        cut.operator(layer.conv, original.conv, _phases(cut.writes), cut.reads, cut.before)

    def refit(self, layer: Any, original: Any, cut: Cut, clips: list[Clip], sample: Callable[[Tensor], Index]) -> None:
        if len(cut.reads) == original.conv.in_channels and 27 * len(cut.reads) > MOST_COLUMNS:
            super().refit(layer, original, cut, clips, sample)
            return
        pairs = []
        for clip in clips:
            written = original.conv(clip.x_teacher, Stream.fresh())
            index = sample(written)
            pairs.append((clip.x, index, at(written, index)[:, _phases(cut.writes)]))
            clip.x_teacher = original.deal_out(written, Stream.fresh())
        solve(layer.conv, pairs)
        for clip in clips:
            clip.x = layer(clip.x, Stream.fresh())


def _phases(channels: list[int]) -> list[int]:
    return [PHASES * channel + phase for channel in channels for phase in range(PHASES)]
