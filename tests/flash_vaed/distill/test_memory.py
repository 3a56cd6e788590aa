"""The count on the meta device is what autograd really keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flash_vaed.distill import Pair
from flash_vaed.distill.losses import PixelLoss
from flash_vaed.distill.memory import step_bytes
from tests.flash_vaed.distill.lessons import own_teacher, small_student


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_count_is_that_of_a_real_step(checkpointing):
    teacher = own_teacher()
    student = small_student(teacher).decoder.requires_grad_(True)
    z = torch.randn(2, 4, 3, 4, 4)
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    features = teacher.features(z)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        frames = Pair(teacher, student, {}, checkpointing).student_features(z)["frames"]
        PixelLoss()(frames, features["frames"])
    for tensor in (*features.values(), *teacher.parameters(), *student.parameters()):
        keep(tensor)
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert step_bytes(teacher.spec, student.spec, 2, 9, 32, 32, checkpointing) == pytest.approx(real, rel=0.05)


def test_checkpointing_saves_and_larger_clips_cost():
    teacher = own_teacher().spec
    student = small_student(own_teacher()).decoder.spec
    whole, saving = (step_bytes(teacher, student, 1, 9, 64, 64, checkpointing) for checkpointing in (False, True))
    assert saving < 0.7 * whole
    assert step_bytes(teacher, student, 1, 9, 128, 64) > 1.9 * (whole - 4 * 10**5)


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="frames with sides divisible by"):
        step_bytes(own_teacher().spec, own_teacher().spec, 1, 8, 64, 64)
