"""The training: every phase brings the student nearer to its teacher, only what changed is trained, and neither a kill
nor a second process changes what comes out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

from flash_vaed import Compressed, Decoder, StageEdit
from flash_vaed.distill import (
    PHASES,
    Batch,
    DistilRecipe,
    History,
    Progress,
    Settings,
    Snapshots,
    distil,
    train_phase,
)
from flash_vaed.distill.training import FULL_RATE_ERROR, rate_of_start
from tests.flash_vaed.distill.lessons import OwnVideo, own_teacher, small_student
from tests.flash_vaed.examples import psnr, random_latents

ALL = ("align", "joint", "refine")


def distance_db(student: Decoder, teacher: Decoder) -> float:
    """PSNR to the teacher on latents that were never trained on."""
    z = random_latents(3, 2, 2, n=4, seed=999)
    return psnr(student.decode(z), teacher.decode(z))


def trained(recipe: DistilRecipe, **student) -> tuple[Decoder, Decoder, Compressed]:
    """(teacher, student before, student after)."""
    teacher = own_teacher()
    compressed = small_student(teacher, **student)
    before = copy.deepcopy(compressed.decoder)
    distil(teacher, compressed, OwnVideo(teacher), recipe)
    return teacher, before, compressed


def gain_db(recipe: DistilRecipe, **student) -> float:
    teacher, before, compressed = trained(recipe, **student)
    return distance_db(compressed.decoder, teacher) - distance_db(before, teacher)


@pytest.mark.parametrize("phases", [*((name,) for name in PHASES), ALL], ids="+".join)
def test_every_phase_brings_the_student_nearer(phases):
    assert gain_db(DistilRecipe(phases, steps=40)) > 0.3


@pytest.mark.parametrize("operator", ["conv3d", "depthwise3d"])
def test_other_operators_learn_too(operator):
    edits = {"up2": StageEdit(operator, True), "up3": StageEdit(operator, True)}
    assert gain_db(DistilRecipe(steps=40), edits=edits) > 0.3


@pytest.mark.parametrize(
    "settings",
    [
        Settings(accumulate=2),
        Settings(ema=0.9),
        Settings(checkpointing=True),
        Settings(precision="bfloat16"),
        Settings(follow_start=False),
    ],
    ids=str,
)
def test_every_setting_trains(settings):
    assert gain_db(DistilRecipe(("joint",), steps=30, settings=settings)) > 0.3


def test_fixed_weights_train_as_well():
    options = {"joint": PHASES.get("joint").Options(dynamic=False)}
    assert gain_db(DistilRecipe(("joint",), steps=30, options=options)) > 0.3


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
    assert equal_parts(teacher, compressed.decoder) >= {"entry", "mid", "up0", "up1", "up2"}


def test_the_teacher_learns_nothing():
    teacher = own_teacher()
    before = copy.deepcopy(teacher)
    distil(teacher, small_student(teacher), OwnVideo(teacher), DistilRecipe(steps=6))
    assert len(equal_parts(before, teacher)) == 7
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_same_seed_gives_the_same_student():
    one, two = (trained(DistilRecipe(steps=9))[2].decoder for _ in range(2))
    assert equal_parts(one, two) == {"entry", "mid", "up0", "up1", "up2", "up3", "head"}


def test_no_phases_leave_the_student_as_it_is():
    teacher = own_teacher()
    compressed = small_student(teacher)
    before = copy.deepcopy(compressed.decoder)
    history = distil(teacher, compressed, OwnVideo(teacher), DistilRecipe(phases=(), steps=0))
    assert history.losses == []
    assert len(equal_parts(before, compressed.decoder)) == 7


def test_a_trained_student_is_frozen_and_streams():
    _, _, compressed = trained(DistilRecipe(steps=3))
    assert not any(parameter.requires_grad for parameter in compressed.decoder.parameters())
    z = random_latents(4)
    torch.testing.assert_close(compressed.decoder.decode(z, 1), compressed.decoder.decode(z), atol=1e-4, rtol=0)


def test_history_and_progress_tell_every_phase():
    teacher = own_teacher()
    told: list[Progress] = []
    history = distil(teacher, small_student(teacher), OwnVideo(teacher), DistilRecipe(steps=25), told.append)
    assert [(step.phase, step.done, step.total) for step in told] == [
        *(("align", done, 3) for done in range(1, 4)),
        *(("joint", done, 15) for done in range(1, 16)),
        *(("refine", done, 7) for done in range(1, 8)),
    ]
    assert all("loss" in step.values for step in told)
    assert all("psnr" in step.values for step in told if step.phase != "align")
    assert list(dict.fromkeys(phase for phase, _, _, _ in history.losses)) == list(ALL)
    assert {term for phase, _, term, _ in history.losses if phase == "align"} == {"up1", "up2", "up3", "head"}
    assert {term for phase, _, term, _ in history.losses if phase == "refine"} == {"pixels", "motion", "detail"}
    assert {"psnr", "weight of up2", "rate", "gradient norm"} <= {n for p, _, n, _ in history.watched if p == "joint"}
    assert history.losses[-1][1] == 24
    assert all(isinstance(value, float) for _, _, _, value in [*history.losses, *history.watched])


def test_a_phase_has_a_rate_of_its_own(monkeypatch):
    """At rate zero nothing moves: the recipe's rates are multiplied by the phase's own."""
    monkeypatch.setattr(PHASES.get("align"), "rate", 0.0)
    _, before, compressed = trained(DistilRecipe(("align",), steps=3))
    assert equal_parts(before, compressed.decoder) == {"entry", "head", *before.spec.stages}


def test_the_rate_follows_the_error_at_the_start():
    assert rate_of_start(FULL_RATE_ERROR) == rate_of_start(1.0) == 1
    assert rate_of_start(FULL_RATE_ERROR / 10) == pytest.approx(0.1)


def test_a_student_that_is_right_already_is_left_alone():
    """It starts with its teacher's own weights: nothing is to be mended, and at any rate something would be spoilt."""
    for follow_start in (True, False):
        recipe = DistilRecipe(("joint",), 5, settings=Settings(follow_start=follow_start))
        _, before, compressed = trained(recipe, edits={"up3": StageEdit(None)}, ratio=1.0)
        assert ("head" in equal_parts(before, compressed.decoder)) == follow_start


def test_averaged_weights_lie_between_the_start_and_the_end():
    recipe = DistilRecipe(("joint",), steps=20)
    _, before, last = trained(recipe)
    _, _, mean = trained(replace(recipe, settings=Settings(ema=0.95)))

    def moved(decoder: Decoder) -> float:
        pairs = zip(decoder.stages.parameters(), before.stages.parameters(), strict=True)
        return sum((one - two).square().sum().item() for one, two in pairs) ** 0.5

    assert 0.1 * moved(last.decoder) < moved(mean.decoder) < 0.99 * moved(last.decoder)


def in_double(*decoders: Decoder) -> None:
    """Double precision, so that sums in another order differ by nothing that training could blow up."""
    for decoder in decoders:
        decoder.double()


def test_accumulated_micro_batches_are_one_batch():
    """The gradient of two micro-batches is that of both together, where weights do not follow each of them."""
    options = {"joint": PHASES.get("joint").Options(dynamic=False)}

    def student(batch: int, accumulate: int) -> Decoder:
        teacher = own_teacher()
        compressed = small_student(teacher)
        in_double(teacher, compressed.decoder)
        video = OwnVideo(teacher)
        settings = Settings(batch=batch, accumulate=accumulate, follow_start=False)

        def batches(index: int, items: Sequence[int]) -> Batch:
            return video(0, [index * batch + item for item in items])

        distil(teacher, compressed, batches, DistilRecipe(("joint",), 3, options, settings))
        return compressed.decoder

    for one, two in zip(student(4, 1).parameters(), student(2, 2).parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=0)


@pytest.mark.faults
@pytest.mark.parametrize("phase", ALL)
def test_a_loss_that_is_no_number_stops_the_training(phase):
    teacher = own_teacher()
    compressed = small_student(teacher)
    compressed.decoder.requires_grad_(False).head.conv.bias[0] = torch.nan
    with pytest.raises(FloatingPointError, match=rf"the loss is nan at step 0 of phase {phase}; lower lr \(1.0\)"):
        distil(teacher, compressed, OwnVideo(teacher), DistilRecipe((phase,), steps=3))


class Killed(Exception):
    pass


def plan_and_start(phase: str, ema: float = 0.5, critic: float = 0.05):
    """Everything of a training that a second process of the same command would have again."""
    teacher = own_teacher()
    options = PHASES.get("refine").Options(critic=critic, critic_start=0.0) if phase == "refine" else None
    recipe = DistilRecipe((phase,), 8, {phase: options} if options else {}, Settings(ema=ema))
    return teacher, small_student(teacher), recipe.plans()[0], recipe.settings, OwnVideo(teacher)


@pytest.mark.faults
@pytest.mark.parametrize("phase", ALL)
def test_killed_and_resumed_is_as_if_nothing_had_been(phase, tmp_path):
    teacher, whole, plan, settings, video = plan_and_start(phase)
    expected = train_phase(teacher, whole, plan, settings, video)
    snapshots = Snapshots(tmp_path / "state.pt", every_s=0.0)

    def kill_at(step: int):
        def progress(told: Progress) -> None:
            if told.done == step:
                raise Killed

        return progress

    for step in (3, 6, None):  # killed twice, once before the state of its last step was written
        teacher, resumed, plan, settings, video = plan_and_start(phase)
        if step is not None:
            with pytest.raises(Killed):
                train_phase(teacher, resumed, plan, settings, video, None, snapshots, kill_at(step))
        else:
            found = train_phase(teacher, resumed, plan, settings, video, None, snapshots)
    assert len(equal_parts(resumed.decoder, whole.decoder)) == 7
    assert found == expected


@pytest.mark.faults
def test_a_snapshot_of_other_settings_is_refused(tmp_path):
    teacher, student, plan, settings, video = plan_and_start("joint")
    snapshots = Snapshots(tmp_path / "state.pt", every_s=0.0)
    train_phase(teacher, student, plan, settings, video, None, snapshots)
    with pytest.raises(ValueError, match="belongs to another phase or other settings"):
        train_phase(teacher, student, plan, replace(settings, lr=0.5), video, None, snapshots)


@pytest.mark.faults
def test_a_loss_that_turns_bad_leaves_the_last_good_state(tmp_path):
    teacher, student, plan, settings, video = plan_and_start("joint")
    snapshots = Snapshots(tmp_path / "state.pt", every_s=0.0)

    def spoil(told: Progress) -> None:
        if told.done == 4:
            with torch.no_grad():
                student.decoder.head.conv.bias[0] = torch.inf

    with pytest.raises(FloatingPointError, match="at step 4 of phase joint"):
        train_phase(teacher, student, plan, settings, video, None, snapshots, spoil)
    kept = torch.load(snapshots.path, weights_only=True)
    assert kept["steps"] == 4


def test_a_full_disk_is_said_and_the_training_goes_on(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flash_vaed.distill.training.save_snapshot", full)
    told: list[str] = []
    teacher, student, plan, settings, video = plan_and_start("joint")
    history = train_phase(
        teacher, student, plan, settings, video, None, Snapshots(tmp_path / "state.pt", 0.0, told.append)
    )
    assert history.steps == 8
    assert "No space left on device" in told[0]
    assert "goes on without it" in told[0]


def _one_of_two(rank: int, folder: str, phase: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    teacher, student, plan, settings, video = plan_and_start(phase)
    in_double(teacher, student.decoder)
    history = train_phase(teacher, student, plan, settings, video)
    torch.save([student.decoder.state_dict(), history.losses], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.faults
@pytest.mark.parametrize("phase", ALL)
def test_two_processes_give_the_student_of_one(phase, tmp_path):
    teacher, alone, plan, settings, video = plan_and_start(phase)
    in_double(teacher, alone.decoder)
    history = train_phase(teacher, alone, plan, settings, video)
    multiprocessing.spawn(_one_of_two, (str(tmp_path), phase), nprocs=2)
    for rank in (0, 1):
        weights, losses = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in alone.decoder.state_dict().items():
            torch.testing.assert_close(weights[name], value, atol=1e-4, rtol=0)
        for one, two in zip(losses, history.losses, strict=True):
            assert one[:3] == two[:3]
            assert one[3] == pytest.approx(two[3], rel=1e-4)


def test_a_batch_must_be_split_evenly(monkeypatch):
    monkeypatch.setattr("flash_vaed.distill.training.rank_and_count", lambda: (0, 3))
    teacher, student, plan, settings, video = plan_and_start("joint")
    with pytest.raises(ValueError, match="a batch of 2 clips cannot be split over 3 processes"):
        train_phase(teacher, student, plan, settings, video)


def test_the_history_of_earlier_phases_goes_on():
    teacher, student, plan, settings, video = plan_and_start("joint")
    before = History([("align", 4, "up2", 1.0)], [])
    history = train_phase(teacher, student, plan, settings, video, before)
    assert history.losses[0] == ("align", 4, "up2", 1.0)
    assert history.losses[1][1] == 5
    assert history.steps == 5 + 8
