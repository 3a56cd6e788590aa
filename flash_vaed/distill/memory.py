"""What a training step holds in memory, counted on PyTorch's meta device: nothing is allocated, no weight is needed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flash_vaed.decoder import Decoder
from flash_vaed.distill.losses import PixelLoss
from flash_vaed.distill.pair import Pair
from flash_vaed.spec import DecoderSpec


def step_bytes(
    teacher: DecoderSpec,
    student: DecoderSpec,
    batch: int,
    frames: int,
    height: int,
    width: int,
    checkpointing: bool = False,
) -> int:
    """Bytes in float32 that a step of joint distillation holds when it turns to the way back: what autograd keeps of
    the student and the pixel loss, the teacher's features, the weights of both.

    On top come what an operator needs for itself, gradients, and up to two more copies of the student's weights in the
    optimiser. In bfloat16 the student's activations take about half. Sizes that the latent grid cannot give are a
    `ValueError`.
    """
    latents = teacher.latent_shape(frames, height, width)
    with torch.device("meta"):
        ours, theirs = Decoder(student), Decoder(teacher).requires_grad_(False)
        z_NCthw = torch.empty(batch, teacher.latents.channels, *latents)
        kept: dict[int, Tensor] = {}
        features = theirs.features(z_NCthw)
        with torch.autograd.graph.saved_tensors_hooks(_keep_in(kept), lambda tensor: tensor):
            made = Pair(theirs, ours, {}, checkpointing).student_features(z_NCthw)
            PixelLoss()(made["frames"], features["frames"])
    for tensor in (*features.values(), *theirs.parameters(), *ours.parameters()):
        _keep_in(kept)(tensor)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _keep_in(kept: dict[int, Tensor]) -> Callable[[Tensor], Tensor]:
    """Remembers a tensor of each storage that is shown, alive, so that no other can take its place."""

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    return keep
