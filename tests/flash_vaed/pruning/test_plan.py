"""A plan is data; what cannot be built is refused before anything is calibrated."""

from __future__ import annotations

import dataclasses
import json

import pytest

from flash_vaed import CompressionPlan, StageEdit
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.taehv import taehv_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.families.zoo import SPECS
from flash_vaed.pruning.plan import kept_channels, student_spec
from flash_vaed.spec import FrozenMapping
from tests.flash_vaed.examples import FOUR_CHANNELS, tiny_spec

LAST_THREE = {"up1": StageEdit(prune=True), "up2": StageEdit("conv2d", True), "up3": StageEdit("conv2d", True)}


def plan(stages: dict[str, StageEdit], ratio: float = 0.5) -> CompressionPlan:
    return CompressionPlan(FrozenMapping(stages), ratio)


def test_a_plan_survives_json():
    original = CompressionPlan(
        FrozenMapping({**LAST_THREE, "mid": StageEdit("conv2d", channels=32)}),
        0.25, "random", "mean", "none", "block", "slice", 3,
    )  # fmt: skip
    copy = CompressionPlan.from_json(json.loads(json.dumps(original.to_json())))
    assert copy == original
    assert hash(copy) == hash(original)


def test_a_plain_mapping_of_edits_will_do():
    assert hash(CompressionPlan(LAST_THREE, 0.5)) == hash(plan(LAST_THREE))  # type: ignore[arg-type]


def test_an_empty_plan_changes_nothing():
    assert student_spec(tiny_spec(), CompressionPlan()) == tiny_spec()
    everything = {name: StageEdit("conv3d", name in ("up1", "up2", "up3")) for name in tiny_spec().stages}
    assert student_spec(tiny_spec(), plan(everything, ratio=1.0)) == tiny_spec()


def test_widths_and_the_ways_in_follow_the_ratio():
    spec = student_spec(tiny_spec(), plan(LAST_THREE, 0.25))
    assert [stage.channels for stage in spec.stages.values()] == [32, 32, 8, 4, 2]
    assert [stage.width_out for stage in spec.stages.values()] == [32, 4, 4, 2, 2]
    assert [stage.operator for stage in spec.stages.values()] == ["conv3d"] * 3 + ["conv2d"] * 2


def test_the_papers_widths():
    edits = {name: StageEdit("depthwise3d") for name in ("mid", "up0", "up1")}
    edits |= {name: StageEdit("conv2d", True) for name in ("up2", "up3")}
    spec = student_spec(wan_spec(), plan(edits, 1 / 8))
    assert [stage.channels for stage in spec.stages.values()] == [384, 384, 384, 24, 12]
    assert [stage.width_out for stage in spec.stages.values()] == [384, 192, 24, 12, 12]


def test_a_stage_between_unpruned_ones_keeps_its_way_out():
    spec = student_spec(tiny_spec(), plan({"up2": StageEdit(prune=True)}))
    assert [stage.channels for stage in spec.stages.values()] == [32, 32, 32, 8, 8]
    assert [stage.width_out for stage in spec.stages.values()] == [32, 16, 8, 8, 8]


@pytest.mark.parametrize(
    ("edits", "ratio", "message"),
    [
        ({"up7": StageEdit()}, 0.5, r"the plan edits stage \['up7'\]; this decoder has mid, up0"),
        ({"mid": StageEdit(prune=True)}, 0.5, "stage mid has attention, whose heads need every channel"),
        (
            {"up1": StageEdit(prune=True)},
            0.01,
            "1 channels do not do for stage up1: the two widths it projects between",
        ),
        ({"up2": StageEdit(channels=17)}, 0.5, "stage up2 has 16 channels, so it cannot keep 17"),
    ],
)
def test_a_plan_that_cannot_be_built_is_refused(edits, ratio, message):
    with pytest.raises(ValueError, match=message):
        student_spec(tiny_spec(), plan(edits, ratio))


def test_without_attention_the_first_stages_can_be_narrowed_too():
    """The entry's rows are sliced with them."""
    spec = tiny_spec()
    spec = spec.with_stages(mid=dataclasses.replace(spec.stages["mid"], attention=False))
    small = student_spec(spec, plan({"mid": StageEdit(prune=True), "up0": StageEdit(prune=True)}))
    assert [stage.channels for stage in small.stages.values()] == [16, 16, 32, 16, 8]


def test_a_stage_narrowed_alone_gets_a_projection_at_its_way_in():
    small = student_spec(tiny_spec(), plan({"up0": StageEdit(prune=True)}))
    assert [stage.channels for stage in small.stages.values()] == [32, 16, 32, 16, 8]


def test_a_width_is_a_ratio_or_a_number():
    small = student_spec(tiny_spec(), CompressionPlan({"up2": StageEdit("conv2d", channels=12)}))
    assert small.stages["up2"].channels == small.stages["up1"].width_out == 12
    with pytest.raises(ValueError, match="either prune or channels"):
        StageEdit(prune=True, channels=12)
    with pytest.raises(ValueError, match="a positive width"):
        StageEdit(channels=0)


def test_subsets_per_block_give_the_released_students():
    """Shortcuts everywhere in what is narrowed, and nowhere else: the very specs of Flash-VAED's files."""
    separable = {name: StageEdit("depthwise3d") for name in ("mid", "up0", "up1")}
    pruned = {"up2": StageEdit("conv2d", True), "up3": StageEdit("conv2d", True)}
    made = student_spec(wan_spec(), CompressionPlan({**separable, **pruned}, 1 / 8, subsets="block"))
    assert made == SPECS["flash-vaed-wan2.1"]
    pruned = {"up2": StageEdit(None, True), "up3": StageEdit("conv2d", True)}
    made = student_spec(ltx_spec(), CompressionPlan({**separable, **pruned}, 1 / 4, subsets="block"))
    back = {name: dataclasses.replace(stage, time=None) for name, stage in SPECS["flash-vaed-ltx"].stages.items()}
    assert made == SPECS["flash-vaed-ltx"].with_stages(**back)  # whose separable convolutions look back only


LTX = ltx_spec((16, 16, 8), (1, 1, 1, 1), (False, True, True))


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"up1": StageEdit(channels=8)}, "stage up1 has no projection of its own"),
        ({"mid": StageEdit(channels=8), "up0": StageEdit(channels=8), "up1": StageEdit(channels=8)}, "for stage up2"),
    ],
)
def test_ltx_stages_keep_the_projections_they_have(edits, message):
    with pytest.raises(ValueError, match=message):
        student_spec(LTX, CompressionPlan(edits))


@pytest.mark.parametrize("ratio", [0, -0.5, 1.01, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ValueError, match=r"ratio is the share of channels kept, in \(0, 1\], not"):
        CompressionPlan(ratio=ratio)


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="scaling is one of total, mean, not 'median'"):
        CompressionPlan(scaling="median")
    with pytest.raises(ValueError, match="start is one of random, slice, fold, regression, not 'warm'"):
        CompressionPlan(start="warm")


@pytest.mark.parametrize("weighting", ["next", "output"])
def test_equal_weight_for_all_goes_with_no_weighting_only(weighting):
    with pytest.raises(ValueError, match=f"weighting={weighting} weighs them .* take weighting=none"):
        CompressionPlan(scaling="mean", weighting=weighting)
    assert CompressionPlan(scaling="mean", weighting="none").scaling == "mean"


@pytest.mark.parametrize(("channels", "ratio", "kept"), [(96, 1 / 8, 12), (10, 0.25, 2), (3, 0.01, 1), (7, 1.0, 7)])
def test_kept_channels_round_and_never_vanish(channels, ratio, kept):
    assert kept_channels(channels, ratio) == kept


def test_a_two_stage_decoder_can_be_pruned_at_its_end():
    spec = wan_spec(8, (1, 2), 1, (True,), FOUR_CHANNELS)
    small = student_spec(spec, plan({"up1": StageEdit(prune=True)}))
    assert [stage.channels for stage in small.stages.values()] == [16, 16, 4]


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (taehv_spec((8, 8), 1, (True,)), "a decoder of family taehv cannot be compressed"),
        (wan_spec(8, residual=True, patch=2), "a decoder with skips around its stages"),
    ],
)
def test_decoders_whose_blocks_pruning_does_not_know_are_refused(teacher, message):
    with pytest.raises(ValueError, match=message):
        student_spec(teacher, CompressionPlan({"up0": StageEdit("depthwise3d")}))
    assert student_spec(teacher, CompressionPlan({"up0": StageEdit()})) == teacher
