"""The trainer: every phase brings the student nearer to its teacher, and only what changed is trained."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from flash_vaed import Compressed, Decoder, StageEdit, Teacher
from flash_vaed.distill import PHASES, DistilRecipe, distil
from flash_vaed.distill.trainer import phase_steps
from tests.flash_vaed.distill.lessons import own_teacher, small_student
from tests.flash_vaed.examples import psnr, random_latents

ALL = ("align", "joint", "refine")


def distance_db(student: Decoder, teacher: Decoder) -> float:
    """PSNR to the teacher on latents that were never trained on."""
    z = random_latents(3, 2, 2, n=4, seed=999)
    return psnr(student.decode(z), teacher.decode(z))


def trained(recipe: DistilRecipe, **student) -> tuple[Teacher, Decoder, Compressed]:
    """(teacher, student before, student after)."""
    teacher, video = own_teacher()
    compressed = small_student(teacher, **student)
    before = copy.deepcopy(compressed.decoder)
    distil(teacher, compressed, video, recipe)
    return teacher, before, compressed


@pytest.mark.parametrize("phases", [*((name,) for name in PHASES), ALL], ids="+".join)
def test_every_phase_brings_the_student_nearer(phases):
    teacher, before, compressed = trained(DistilRecipe(phases, steps=40))
    assert distance_db(compressed.decoder, teacher.decoder) > distance_db(before, teacher.decoder) + 0.3


@pytest.mark.parametrize("operator", ["conv3d", "depthwise3d"])
def test_other_operators_learn_too(operator):
    edits = {"up2": StageEdit(operator, True), "up3": StageEdit(operator, True)}
    teacher, before, compressed = trained(DistilRecipe(steps=40), edits=edits)
    assert distance_db(compressed.decoder, teacher.decoder) > distance_db(before, teacher.decoder) + 0.3


def test_fixed_weights_train_as_well():
    teacher, before, compressed = trained(DistilRecipe(("joint",), steps=30, dynamic=False))
    assert distance_db(compressed.decoder, teacher.decoder) > distance_db(before, teacher.decoder) + 0.3


def equal_parts(one: Decoder, other: Decoder) -> set[str]:
    """Parts ("entry", stage names, "head") whose weights are the same bit for bit."""
    parts = {"entry": "entry", "head": "head", **{name: f"stages.{name}" for name in one.spec.stages}}

    def weights(decoder: Decoder, path: str) -> dict[str, Tensor]:
        return decoder.get_submodule(path).state_dict()

    return {
        name
        for name, path in parts.items()
        if all(torch.equal(value, weights(other, path)[key]) for key, value in weights(one, path).items())
    }


def test_stages_as_in_the_teacher_stay_bit_for_bit():
    """up1 hands over fewer channels to up2, so it is part of what changed."""
    _, before, compressed = trained(DistilRecipe(steps=6))
    assert equal_parts(before, compressed.decoder) == {"entry", "mid", "up0"}


def test_a_swap_of_one_operator_trains_that_stage_and_the_head():
    teacher, before, compressed = trained(DistilRecipe(steps=6), edits={"up3": StageEdit("conv2d")}, ratio=1.0)
    assert equal_parts(before, compressed.decoder) == {"entry", "mid", "up0", "up1", "up2"}
    assert equal_parts(teacher.decoder, compressed.decoder) >= {"entry", "mid", "up0", "up1", "up2"}


def test_the_teacher_learns_nothing():
    teacher, video = own_teacher()
    before = teacher.fingerprint
    distil(teacher, small_student(teacher), video, DistilRecipe(steps=6))
    assert teacher.fingerprint == before
    assert all(parameter.grad is None for parameter in teacher.decoder.parameters())


def test_the_same_seed_gives_the_same_student():
    one, two = (trained(DistilRecipe(steps=9))[2].decoder for _ in range(2))
    assert equal_parts(one, two) == {"entry", "mid", "up0", "up1", "up2", "up3", "head"}


def test_no_phases_leave_the_student_as_it_is():
    teacher, video = own_teacher()
    compressed = small_student(teacher)
    before = copy.deepcopy(compressed.decoder)
    history = distil(teacher, compressed, video, DistilRecipe(phases=(), steps=0))
    assert history.rows == []
    assert len(equal_parts(before, compressed.decoder)) == 7


def test_a_trained_student_is_frozen_and_streams():
    _, _, compressed = trained(DistilRecipe(steps=3))
    assert not any(parameter.requires_grad for parameter in compressed.decoder.parameters())
    z = random_latents(4)
    torch.testing.assert_close(compressed.decoder.decode(z, 1), compressed.decoder.decode(z), atol=1e-4, rtol=0)


def test_history_and_progress_tell_every_phase():
    teacher, video = own_teacher()
    told: list[tuple[str, int, int]] = []
    recipe = DistilRecipe(steps=25)
    history = distil(teacher, small_student(teacher), video, recipe, lambda *step: told.append(step))
    assert [done for _, done, _ in told] == list(range(1, 26))
    assert {total for _, _, total in told} == {25}
    assert list(dict.fromkeys(phase for phase, _, _ in told)) == list(ALL)
    assert list(dict.fromkeys(phase for phase, _, _, _ in history.rows)) == list(ALL)
    assert {term for phase, _, term, _ in history.rows if phase == "align"} == {"up1", "up2", "up3", "head"}
    assert {term for phase, _, term, _ in history.rows if phase == "refine"} == {"pixels", "motion", "detail"}
    assert history.rows[-1][1] == 24
    assert all(isinstance(value, float) for _, _, _, value in history.rows)


@pytest.mark.parametrize("phase", ALL)
def test_a_loss_that_is_no_number_stops_the_training(phase):
    teacher, video = own_teacher()
    compressed = small_student(teacher)
    compressed.decoder.requires_grad_(False).head.conv.bias[0] = torch.nan
    with pytest.raises(FloatingPointError, match=rf"the loss is nan at step 0 of phase {phase}; lower lr \(1.0\)"):
        distil(teacher, compressed, video, DistilRecipe((phase,), steps=3))


@pytest.mark.parametrize("phases", [("align",), ("align", "refine"), ALL, ("refine", "joint", "align")], ids="+".join)
def test_steps_of_the_phases_add_up(phases):
    for steps in (len(phases), 7, 10, 120, 121):
        split = phase_steps(DistilRecipe(phases, steps))
        assert list(split) == list(phases)
        assert sum(split.values()) == steps
        assert min(split.values()) >= 1


def test_the_budget_follows_the_shares():
    assert phase_steps(DistilRecipe(ALL, 200)) == {"align": 30, "joint": 110, "refine": 60}


def test_impossible_recipes_are_refused():
    with pytest.raises(ValueError, match="unknown distillation phase 'jointly'; did you mean 'joint'"):
        DistilRecipe(("jointly",))
    with pytest.raises(ValueError, match="3 phases need at least as many steps, not 2"):
        DistilRecipe(steps=2)
    with pytest.raises(ValueError, match="every phase comes once, not align, align"):
        DistilRecipe(("align", "align"))


def test_a_phase_has_a_rate_of_its_own(monkeypatch):
    """At rate zero nothing moves: the recipe's rates are multiplied by the phase's own."""
    monkeypatch.setattr(PHASES.get("align"), "rate", 0.0)
    _, before, compressed = trained(DistilRecipe(("align",), steps=3))
    assert equal_parts(before, compressed.decoder) == {"entry", "head", *before.spec.stages}
