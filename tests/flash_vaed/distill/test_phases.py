"""What each phase compares, and how the joint phase weighs its stages."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from flash_vaed import StageEdit
from flash_vaed.distill import PHASES, Judgement, Lesson, Pair, Phase
from flash_vaed.distill.phases.joint import FADES_TO, Joint, JointOptions
from tests.flash_vaed.distill.lessons import OwnVideo, one_lesson, own_teacher, small_student

STAGES = ["up1", "up2", "up3"]


@pytest.fixture
def pair() -> Pair:
    teacher = own_teacher()
    return Pair.of(teacher, small_student(teacher))


@pytest.fixture
def lesson() -> Lesson:
    return one_lesson(own_teacher())


def perfect() -> Pair:
    """A student that is its teacher, named as changed in nothing."""
    teacher = own_teacher()
    return Pair.of(teacher, small_student(teacher, {"up3": StageEdit(None)}, ratio=1.0))


def phase_of(name: str, pair: Pair, **options: Any) -> Phase:
    kind = PHASES.get(name)
    return kind(pair, kind.Options(**options))


def test_changed_stages_are_those_that_differ(pair):
    assert pair.changed_stages() == STAGES
    assert perfect().changed_stages() == []


def test_inputs_and_targets_are_the_teachers_kept_channels(pair, lesson):
    for stage in STAGES:
        entering = pair.stage_input(lesson.features, stage)
        leaving = pair.part_target(lesson.features, stage)
        assert entering.shape[1] == pair.student.spec.width_in(stage)
        assert leaving.shape[1] == pair.student.spec.stages[stage].width_out
    kept = pair.behind["up2"]
    assert torch.equal(pair.stage_input(lesson.features, "up3"), lesson.features["up2"][:, kept])
    assert torch.equal(pair.part_target(lesson.features, "up3"), lesson.features["up3"][:, kept])


def test_the_teacher_is_asked_once_per_lesson(lesson, monkeypatch):
    first = lesson.features
    monkeypatch.setattr(lesson, "_teacher", None)
    assert lesson.features is first
    assert not first["frames"].requires_grad


@pytest.mark.parametrize("name", list(PHASES))
def test_terms_are_scalars_with_gradients_for_the_changed_stages(pair, lesson, name):
    pair.student.requires_grad_(True)
    terms = phase_of(name, pair).judge(lesson, 0.5).terms
    assert all(term.shape == () for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    for stage in ("up2", "up3"):  # up1 merely hands over fewer channels: sliced, it has nothing to align
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in pair.student.stages[stage].parameters())
    assert pair.student.head.conv.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", list(PHASES))
def test_a_perfect_student_has_no_loss(lesson, name):
    """Its video is its teacher's own output, so also the source is met."""
    terms = phase_of(name, perfect()).judge(lesson, 0.0).terms
    assert sum(term.item() for term in terms.values()) == pytest.approx(0, abs=0.05)


def test_aligned_stages_do_not_wait_for_each_other(pair, lesson):
    """A ruined up2 leaves the term of up3 as it was: that one starts from the teacher's features."""
    phase = phase_of("align", pair)
    before = {name: term.item() for name, term in phase.judge(lesson, 0.0).terms.items()}
    with torch.no_grad():
        pair.student.stages["up2"].upsampler.conv.weight.mul_(10)
    after = {name: term.item() for name, term in phase.judge(lesson, 0.0).terms.items()}
    assert after["up2"] > before["up2"]
    assert [after[name] for name in ("up1", "up3", "head")] == [before[name] for name in ("up1", "up3", "head")]


def test_refinement_aims_between_source_and_teacher(lesson):
    """Source frames 0.2 brighter than the teacher's ask for half of it, everywhere, without motion or detail."""
    lesson.source = lesson.features["frames"] + 0.2
    terms = phase_of("refine", perfect()).judge(lesson, 0.0).terms
    assert 10 * 0.1 <= terms["pixels"].item() < 10 * 0.11 + 5 * 0.1
    assert terms["motion"].item() == pytest.approx(0, abs=1e-5)
    assert terms["detail"].item() == pytest.approx(0, abs=1e-5)


def test_dynamic_weights_sum_to_one_and_follow_the_worst_stage(pair):
    phase = Joint(pair, JointOptions())
    weights = phase._weights({"up1": 0.1, "up2": 0.3, "up3": 0.6})
    assert sum(weights.values()) == pytest.approx(1)
    assert weights == pytest.approx({"up1": 0.1, "up2": 0.3, "up3": 0.6})
    for _ in range(60):
        weights = phase._weights({"up1": 0.8, "up2": 0.1, "up3": 0.1})
        assert sum(weights.values()) == pytest.approx(1)
    assert weights["up1"] == pytest.approx(0.8, abs=0.01)


def test_one_bad_batch_does_not_turn_the_weights(pair):
    phase = Joint(pair, JointOptions())
    for _ in range(20):
        phase._weights({"up1": 0.1, "up2": 0.9})
    weights = phase._weights({"up1": 0.9, "up2": 0.1})
    assert weights["up2"] > 0.6 > weights["up1"]


def test_fixed_weights_are_equal(pair):
    assert Joint(pair, JointOptions(dynamic=False))._weights({"up1": 0.1, "up2": 0.9}) == {"up1": 0.5, "up2": 0.5}


@pytest.mark.parametrize(("progress", "fade"), [(0.0, 1.0), (1.0, FADES_TO)])
@pytest.mark.parametrize("features", [0.0, 0.1, 1.0])
def test_features_fade_against_the_pixels(pair, lesson, progress, fade, features):
    terms = Joint(pair, JointOptions(features=features)).judge(lesson, progress).terms
    assert terms["features"].item() == pytest.approx(features * fade * terms["pixels"].item(), rel=1e-3)


def test_features_cannot_weigh_less_than_nothing():
    with pytest.raises(ValueError, match="features of at least 0"):
        JointOptions(features=-0.1)


def test_fixed_features_do_not_fade(pair, lesson):
    values = [
        Joint(pair, JointOptions(dynamic=False)).judge(lesson, progress).terms["features"].item()
        for progress in (0.0, 1.0)
    ]
    assert values[0] == values[1] > 0


def test_terms_do_not_touch_the_student(pair, lesson):
    before = copy.deepcopy(pair.student.state_dict())
    for name in PHASES:
        phase_of(name, pair).judge(lesson, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in pair.student.state_dict().items())


def test_without_video_refinement_aims_at_the_teachers_frames(pair):
    alone = Lesson(pair.teacher, OwnVideo(pair.teacher, frames_known=False)(0, range(2)))
    with_frames = one_lesson(pair.teacher)
    ours, theirs = (phase_of("refine", pair).judge(lesson, 0.0).terms for lesson in (alone, with_frames))
    assert ours["pixels"].item() == pytest.approx(theirs["pixels"].item(), rel=1e-5)


def test_terms_whose_weight_is_zero_are_not_there(pair, lesson):
    judged = phase_of("refine", pair, motion=0, detail=0, energy=2.0).judge(lesson, 0.0)
    assert set(judged.terms) == {"pixels", "energy"}


def test_the_critic_is_heard_late_and_learns_from_the_start(pair, lesson):
    pair.student.requires_grad_(True)
    phase = phase_of("refine", pair, critic=0.1, critic_start=0.5)
    assert phase.judge(lesson, 0.4).terms["critic"].item() == 0
    before = copy.deepcopy(phase.state_dict()["critic"])
    phase.after_step(1.0)
    after = phase.state_dict()["critic"]
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
    heard = phase.judge(lesson, 0.5).terms["critic"]
    assert heard.item() != 0
    heard.backward()
    assert pair.student.head.conv.weight.grad.abs().max() > 0


def test_the_critic_learns_to_tell_frames_apart(pair, lesson):
    phase = phase_of("refine", pair, critic=0.1)
    critic = phase._critic.critic
    for _ in range(60):
        phase.judge(lesson, 0.0)
        phase.after_step(0.0)
    made, real = phase._critic._seen
    scores = [critic(x.transpose(1, 2).flatten(0, 1)).mean().item() for x in (made, real)]
    assert scores[1] > scores[0] + 0.2


def test_alignment_ends_when_the_loss_stands_still(pair):
    falling, still = (phase_of("align", pair, window=5) for _ in range(2))
    for step in range(10):
        assert not still.done()
        still.after_step(1.0 + 0.001 * step)
        falling.after_step(0.9**step)
    assert still.done()
    assert not falling.done()
    never = phase_of("align", pair, window=5, plateau=0)
    never.load_state_dict(still.state_dict())
    assert not never.done()


@pytest.mark.parametrize("name", list(PHASES))
def test_checkpointing_changes_no_gradient(name, lesson):
    grads = []
    for checkpointing in (False, True):
        teacher = own_teacher()
        pair = Pair.of(teacher, small_student(teacher), checkpointing)
        pair.trained().requires_grad_(True)
        judged: Judgement = phase_of(name, pair).judge(lesson, 0.0)
        torch.stack(list(judged.terms.values())).sum().backward()
        grads.append([p.grad for p in pair.trained().parameters()])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two)


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="source_share from 0 to 1"):
        PHASES.get("refine").Options(source_share=1.5)
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        PHASES.get("align").Options(steps=0)
