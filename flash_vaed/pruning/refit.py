"""Refit what changed in closed form, layer by layer in execution order, each on what the student really sees.

One ridge regression per layer does channel reconstruction, the collapse of 3D kernels, error compensation and the bias
at once. Its target is the teacher's output at the same place, kept channels only; its prior is the cut start, so a
layer with few samples stays near it. Layers behind a change are refitted too: they make up for errors that reach them.

Two activations of each clip are held, the student's and the teacher's, at the layer that is being solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flash_vaed.pruning.layers import Clip, Cut, LayerKind
from flash_vaed.pruning.regression import Sampler


@dataclass(frozen=True)
class Step:
    """One layer of the student, the teacher's, and what the first keeps of the second."""

    kind: LayerKind
    layer: nn.Module
    original: nn.Module
    cut: Cut

    @property
    def changed(self) -> bool:
        """Whether its tensors cannot simply be the teacher's: another shape, or another operator."""
        ours, theirs = self.layer.state_dict(), self.original.state_dict()
        return ours.keys() != theirs.keys() or any(ours[name].shape != theirs[name].shape for name in ours)


@torch.no_grad()
def refit(steps: Sequence[Step], latents: Sequence[Tensor], seed: int = 0, compensate: bool = True) -> None:
    """Refit, in place, every layer that differs from the teacher's; with `compensate`, each that gets something else
    than the teacher's does, too.
    """
    sample = Sampler(len(latents), seed)
    clips = [Clip(z, z) for z in latents]
    same = [_same(step.layer, step.original) for step in steps]
    last = max((i for i, unchanged in enumerate(same) if not unchanged), default=-1)
    end = len(steps) if compensate else last + 1
    for step, unchanged in zip(steps[:end], same[:end], strict=True):
        unmoved = all(clip.x is clip.x_teacher or torch.equal(clip.x, clip.x_teacher) for clip in clips)
        if unmoved and unchanged:
            for clip in clips:
                clip.advance_together(step.original)
        elif step.cut.reads and (compensate or not unchanged):
            step.kind.refit(step.layer, step.original, step.cut, clips, sample)
        else:  # the entry, too: its rows are the teacher's
            for clip in clips:
                clip.advance(step.layer, step.original)


def _same(layer: nn.Module, original: nn.Module) -> bool:
    """Whether two layers hold the same tensors under the same names."""
    ours, theirs = layer.state_dict(), original.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
