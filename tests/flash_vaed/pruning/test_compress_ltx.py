"""LTX-Video's decoder through the same surgery: phases of a channel, norms without gains, layer-normed projections."""

from __future__ import annotations

import pytest
import torch

from flash_vaed import CompressionPlan, Decoder, StageEdit, compress, load_decoder, save_decoder
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.pruning import CRITERIA, calibrate
from tests.flash_vaed.examples import FOUR_CHANNELS, psnr, random_decoder, random_latents

SPEC = ltx_spec((16, 16, 8), (1, 1, 1, 2), (False, True, True), patch=2, latents=FOUR_CHANNELS)
LAST = {"up2": StageEdit("conv2d", prune=True)}
DEEP = ltx_spec((32, 32, 16, 8), (1, 1, 1, 2, 2), (False, True, True, True), patch=2, latents=FOUR_CHANNELS)
ALL = {**LAST, "mid": StageEdit("depthwise3d"), "up0": StageEdit("depthwise3d"), "up1": StageEdit("depthwise3d")}


@pytest.fixture(scope="module")
def ltx() -> Decoder:
    return random_decoder(SPEC)


@pytest.fixture(scope="module")
def latents() -> list[torch.Tensor]:
    return [random_latents(3, 3, 3, seed=100 + i) for i in range(3)]


def test_a_plan_that_changes_nothing_is_the_teacher_bit_for_bit(ltx, latents):
    same = {name: StageEdit("conv3d", channels=stage.channels) for name, stage in SPEC.stages.items()}
    made = compress(ltx, CompressionPlan(same), latents)
    assert made.decoder.spec == SPEC
    assert torch.equal(made.decoder.decode(latents[0]), ltx.decode(latents[0]))


@pytest.mark.parametrize("start", ["fold", "regression"])
def test_dead_channels_go_without_loss_with_all_their_phases(latents, start):
    decoder, dead = random_decoder(SPEC), [1, 6]
    stage = decoder.stages["up2"]
    writers = [stage.entrance.conv1, stage.entrance.conv2, stage.entrance.shortcut.conv]
    writers += [conv for block in stage.blocks for conv in (block.conv1, block.conv2)]
    for writer in writers:
        writer.weight[dead], writer.bias[dead] = 0, 0
    phases = [8 * channel + phase for channel in dead for phase in range(8)]
    stage.upsampler.conv.weight[phases], stage.upsampler.conv.bias[phases] = 0, 0
    # norms divide by the root of the mean over channels, dead ones included, and have no gain to make up for it
    made = compress(decoder, CompressionPlan({"up2": StageEdit(channels=6)}, start=start), latents)
    assert all(set(dead).isdisjoint(kept.channels) for kept in made.narrowed().values())
    assert min(kept.r2 for kept in made.narrowed().values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("subsets", ["stage", "block"])
def test_students_build_stream_and_are_stored(ltx, latents, tmp_path, subsets):
    made = compress(ltx, CompressionPlan(ALL, 0.5, subsets=subsets), latents)  # type: ignore[arg-type]
    z = random_latents(4, 3, 3)
    whole = made.decoder.decode(z)
    assert whole.isfinite().all()
    torch.testing.assert_close(made.decoder.decode(z, chunk=1), whole, atol=1e-4, rtol=0)
    save_decoder(made.decoder, tmp_path)
    assert torch.equal(load_decoder(tmp_path).decode(z), whole)


@pytest.mark.parametrize("subsets", ["stage", "block"])
def test_each_start_is_better_than_the_one_before(ltx, latents, subsets):
    statistics, z = calibrate(ltx, latents), random_latents(3, 3, 3, n=2, seed=999)
    slice_, fold, regression = (
        psnr(
            compress(ltx, CompressionPlan(LAST, 0.5, subsets=subsets, start=start), latents, statistics).decoder.decode(  # type: ignore[arg-type]
                z
            ),
            ltx.decode(z),
        )
        for start in ("slice", "fold", "regression")
    )
    assert fold > slice_
    assert regression > fold + 0.5


@pytest.mark.parametrize("subsets", ["stage", "block"])
def test_two_narrowed_stages_in_a_row(latents, subsets):
    """The upsampler between them reads kept channels and writes kept channels, all eight phases of each."""
    decoder, z = random_decoder(DEEP), random_latents(3, 3, 3, seed=999)
    statistics, target = calibrate(decoder, latents), decoder.decode(z)
    edits = {"up2": StageEdit(prune=True), "up3": StageEdit("conv2d", prune=True)}
    fold, regression = (
        compress(decoder, CompressionPlan(edits, 0.5, subsets=subsets, start=start), latents, statistics).decoder
        for start in ("fold", "regression")
    )
    assert [stage.channels for stage in regression.spec.stages.values()] == [32, 32, 32, 8, 4]
    assert regression.stages["up3"].upsampler.conv.out_channels == 8 * 4
    whole = regression.decode(z)
    torch.testing.assert_close(regression.decode(z, chunk=1), whole, atol=1e-4, rtol=0)
    assert psnr(whole, target) > psnr(fold.decode(z), target) + 0.5


def test_every_criterion_but_scale_ranks_ltxs_channels(ltx, latents):
    statistics = calibrate(ltx, latents)
    for criterion in CRITERIA:
        plan = CompressionPlan(LAST, 0.5, criterion, start="slice")  # type: ignore[arg-type]
        if criterion == "scale":
            with pytest.raises(ValueError, match="no norm with gains reads this site"):
                compress(ltx, plan, latents, statistics)
        else:
            assert len(compress(ltx, plan, latents, statistics).kept["up2.stream"].channels) == 4
