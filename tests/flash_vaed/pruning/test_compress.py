"""From teacher to student: nothing changed is nothing lost, redundant channels cost nothing, the rest is refitted."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from flash_vaed import CompressionPlan, Decoder, StageEdit, compress, load_decoder, save_decoder
from flash_vaed.cost import decoder_cost
from flash_vaed.families.blocks import Pointwise, ResidualBlock
from flash_vaed.operators import OPERATORS
from flash_vaed.pruning import CRITERIA, calibrate
from flash_vaed.pruning.anatomy import anatomy
from flash_vaed.pruning.plan import STARTS
from flash_vaed.spec import FrozenMapping
from tests.flash_vaed.examples import psnr, random_decoder, random_latents, tiny_spec

PRUNABLE = ("up1", "up2", "up3")
STAGES = ("mid", "up0", *PRUNABLE)


def plan(stages: dict[str, StageEdit], **settings) -> CompressionPlan:
    return CompressionPlan(FrozenMapping(stages), **settings)


def last_two(operator: str | None = "conv3d", **settings) -> CompressionPlan:
    return plan({"up2": StageEdit(operator, True), "up3": StageEdit(operator, True)}, **settings)


# --- identity


@pytest.mark.parametrize("criterion", list(CRITERIA))
@pytest.mark.parametrize("edits", [{}, {name: StageEdit("conv3d", name in PRUNABLE) for name in STAGES}])
def test_all_channels_and_the_teachers_operators_are_the_teacher_bit_for_bit(
    teacher, calibration_latents, statistics, criterion, edits
):
    made = compress(teacher, plan(edits, ratio=1.0, criterion=criterion), calibration_latents, statistics)
    assert made.decoder.spec == teacher.spec
    theirs = teacher.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in made.decoder.state_dict().items())
    z = random_latents(3)
    assert torch.equal(made.decoder.decode(z), teacher.decode(z))
    assert made.narrowed() == {}
    assert {name: kept.channels for name, kept in made.kept.items()} == {
        name: list(range(site.channels)) for name, site in anatomy(teacher).sites.items()
    }


# --- redundant channels


def with_dead_channels(decoder: Decoder, dead: dict[str, list[int]]) -> Decoder:
    """The decoder with those channels of the stages' streams and inner sites always zero."""
    before = {"up2": "up1", "up3": "up2"}
    for stage, channels in dead.items():
        writers = [decoder.stages[before[stage]].upsampler.conv]
        for block in decoder.stages[stage].blocks:
            writers += [block.conv1, block.conv2]
        for writer in writers:
            writer.weight[channels] = 0
            writer.bias[channels] = 0
    return decoder


@pytest.mark.parametrize("start", ["fold", "regression"])
def test_removing_dead_channels_changes_nothing_but_rounding(calibration_latents, start):
    dead = {"up2": [1, 5, 6, 14], "up3": [0, 7]}
    decoder = with_dead_channels(random_decoder(), dead)
    made = compress(decoder, last_two(ratio=0.75, start=start), calibration_latents)
    assert made.decoder.spec.stages["up2"].channels == 12
    for stage, channels in dead.items():
        assert set(range(len(channels) * 4)) - set(made.kept[f"{stage}.stream"].channels) == set(channels)
        assert made.kept[f"{stage}.blocks.0.inner"].channels == made.kept[f"{stage}.stream"].channels
    z = random_latents(3, 3, 3)
    torch.testing.assert_close(made.decoder.decode(z), decoder.decode(z), atol=1e-4, rtol=0)
    assert min(kept.r2 for kept in made.narrowed().values()) == pytest.approx(1, abs=1e-6)


def with_copies(decoder: Decoder) -> Decoder:
    """Every channel of up2 and up3 is there twice; the copies weigh in every norm, no layer reads them."""
    for before, stage in (("up1", "up2"), ("up2", "up3")):
        half = decoder.spec.stages[stage].channels // 2
        upsampler = decoder.stages[before].upsampler.conv
        upsampler.weight[half:], upsampler.bias[half:] = upsampler.weight[:half], upsampler.bias[:half]
        for block in decoder.stages[stage].blocks:
            for conv in (block.conv1, block.conv2):
                conv.weight[:, half:] = 0
                conv.weight[half:], conv.bias[half:] = conv.weight[:half], conv.bias[:half]
    decoder.stages["up2"].upsampler.conv.weight[:, 8:] = 0
    decoder.head.conv.weight[:, 4:] = 0
    return decoder


@pytest.mark.parametrize("start", ["fold", "regression"])
def test_removing_exact_copies_changes_nothing_but_rounding(calibration_latents, start):
    decoder = with_copies(random_decoder())
    statistics = calibrate(decoder, calibration_latents)
    made = compress(decoder, last_two(ratio=0.5, start=start), calibration_latents, statistics)
    for stage, width in (("up2", 16), ("up3", 8)):
        assert {channel % (width // 2) for channel in made.kept[f"{stage}.stream"].channels} == set(range(width // 2))
    z = random_latents(3, 3, 3)
    torch.testing.assert_close(made.decoder.decode(z), decoder.decode(z), atol=1e-4, rtol=0)


def test_exact_combinations_fold_into_the_layer_that_reads_them(calibration_latents):
    """Four channels of up2's stream are sums of the others; its blocks are silent, so only the upsampler reads them."""
    decoder = random_decoder()
    conv = decoder.stages["up1"].upsampler.conv
    mix = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    conv.weight[12:] = torch.einsum("kc,cihw->kihw", mix, conv.weight[:12])
    conv.bias[12:] = mix @ conv.bias[:12]
    for block in decoder.stages["up2"].blocks:
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
    z = random_latents(3, 3, 3)
    for start in ("fold", "regression"):
        edits = plan({"up2": StageEdit(prune=True)}, ratio=0.75, start=start)
        made = compress(decoder, edits, calibration_latents)
        assert made.kept["up2.stream"].r2 == pytest.approx(1, abs=1e-5)
        torch.testing.assert_close(made.decoder.decode(z), decoder.decode(z), atol=2e-3, rtol=0)
        assert psnr(made.decoder.decode(z), decoder.decode(z)) > 70


# --- every combination


@pytest.mark.parametrize(
    ("operator", "prune"), list(itertools.product(OPERATORS, [(), ("up2",), ("up2", "up3"), PRUNABLE]))
)
def test_every_operator_and_pruning_builds_streams_and_is_stored(
    teacher, calibration_latents, statistics, tmp_path, operator, prune
):
    edits = {name: StageEdit(operator, name in prune) for name in STAGES}
    made = compress(teacher, plan(edits, ratio=0.5), calibration_latents[:1], statistics)
    assert {stage.operator for stage in made.decoder.spec.stages.values()} == {operator}
    z = random_latents(4)
    whole = made.decoder.decode(z)
    assert whole.shape == teacher.decode(z).shape
    assert whole.isfinite().all()
    for chunk in (1, 3):
        torch.testing.assert_close(made.decoder.decode(z, chunk), whole, atol=1e-5, rtol=0)
    save_decoder(made.decoder, tmp_path)
    loaded = load_decoder(tmp_path)
    assert loaded.spec == made.decoder.spec
    assert torch.equal(loaded.decode(z), whole)


@pytest.mark.parametrize("operator", list(OPERATORS))
def test_subsets_per_block_build_stream_and_are_stored(teacher, calibration_latents, statistics, tmp_path, operator):
    """Every block of a narrowed stage, and no other, gets a projection and a choice of its own."""
    edits = last_two(operator, ratio=0.5, subsets="block")
    made = compress(teacher, edits, calibration_latents[:1], statistics)
    theirs = dict(teacher.named_modules())
    for name, module in made.decoder.named_modules():
        if isinstance(module, ResidualBlock):
            narrowed = name.startswith(("stages.up2", "stages.up3"))
            assert isinstance(module.shortcut, Pointwise) == (narrowed or isinstance(theirs[name].shortcut, Pointwise))
    chosen = [kept.channels for name, kept in made.narrowed().items() if name.startswith("up2.blocks")]
    assert len(chosen) == 4
    assert len({tuple(channels) for channels in chosen}) > 1
    z = random_latents(4)
    whole = made.decoder.decode(z)
    torch.testing.assert_close(made.decoder.decode(z, chunk=1), whole, atol=1e-5, rtol=0)
    save_decoder(made.decoder, tmp_path)
    assert torch.equal(load_decoder(tmp_path).decode(z), whole)


@pytest.mark.parametrize("prune", [(), ("up2",), ("up2", "up3"), PRUNABLE])
def test_kept_channels_are_those_of_the_students_spec(teacher, calibration_latents, statistics, prune):
    edits = {name: StageEdit(None, name in prune) for name in prune}
    made = compress(teacher, plan(edits, ratio=0.25, start="fold"), calibration_latents, statistics)
    ours, theirs = anatomy(made.decoder).sites, anatomy(teacher).sites
    assert {name: len(kept.channels) for name, kept in made.kept.items()} == {n: s.channels for n, s in ours.items()}
    for name, channels in ((name, kept.channels) for name, kept in made.kept.items()):
        assert channels == sorted(set(channels))
        assert set(channels) <= set(range(theirs[name].channels))
    narrowed = {name for name in ours if ours[name].channels < theirs[name].channels}
    assert set(made.narrowed()) == narrowed
    assert all(0 < kept.r2 <= kept.bound < 1 for kept in made.narrowed().values())


def test_smaller_ratios_cost_less_and_keep_nested_channels(teacher, calibration_latents, statistics):
    costs, kept = [], []
    for ratio in (1.0, 0.5, 0.25, 0.125):
        made = compress(teacher, last_two(ratio=ratio, start="fold"), calibration_latents, statistics)
        costs.append(decoder_cost(made.decoder.spec, 9, 32, 32))
        kept.append(set(made.kept["up2.stream"].channels))
    for cost in ("macs_per_frame", "parameters", "state_bytes"):
        values = [getattr(c, cost) for c in costs]
        assert values == sorted(set(values), reverse=True), cost
    assert kept[3] < kept[2] < kept[1] < kept[0]


def test_shortcuts_everywhere_can_be_compressed(calibration_latents):
    """Also in the first stage, whose way in is the unpruned entry."""
    spec = tiny_spec()
    always = {name: dataclasses.replace(stage, shortcut="always") for name, stage in spec.stages.items()}
    decoder = random_decoder(spec.with_stages(**always))
    made = compress(decoder, last_two("conv2d", ratio=0.5), calibration_latents[:1])
    assert made.kept["mid.blocks.0.inner"].channels == list(range(32))
    assert made.decoder.decode(random_latents(2)).isfinite().all()


@pytest.mark.parametrize("operator", ["depthwise3d", "grouped3d", "conv2plus1d"])
def test_only_a_dense_teacher_can_be_narrowed_or_swapped(calibration_latents, operator):
    spec = tiny_spec()
    stages = {name: dataclasses.replace(spec.stages[name], operator=operator) for name in ("up2", "up3")}
    decoder = random_decoder(spec.with_stages(**stages))
    same = compress(decoder, plan({"mid": StageEdit("conv2d")}, start="fold"), calibration_latents[:1])
    ours, theirs = (d.stages["up3"].blocks[0].conv1 for d in (same.decoder, decoder))
    assert all(torch.equal(value, theirs.get_parameter(name)) for name, value in ours.named_parameters())
    with pytest.raises(ValueError, match=f"only a dense conv3d can be sliced or replaced, not {type(theirs).__name__}"):
        compress(decoder, last_two(None, ratio=0.5), calibration_latents[:1])


def test_an_unknown_criterion_is_refused(teacher, calibration_latents, statistics):
    with pytest.raises(ValueError, match="unknown pruning criterion 'independent'; did you mean 'independence'"):
        compress(teacher, last_two(ratio=0.5, criterion="independent"), calibration_latents, statistics)


# --- seeds, and the teacher


@pytest.mark.parametrize("criterion", list(CRITERIA))
def test_the_same_plan_gives_the_same_student(teacher, calibration_latents, statistics, criterion):
    one, two = (
        compress(teacher, last_two("conv2d", ratio=0.5, criterion=criterion), calibration_latents[:1], statistics)
        for _ in range(2)
    )
    assert one.kept == two.kept
    theirs = two.decoder.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in one.decoder.state_dict().items())


def test_another_seed_draws_other_channels(teacher, calibration_latents, statistics):
    kept = {
        str(
            compress(
                teacher, last_two(ratio=0.5, criterion="random", start="fold", seed=s), calibration_latents, statistics
            ).kept
        )
        for s in range(4)
    }
    assert len(kept) == 4


def test_a_random_start_is_drawn_from_the_seed_only_where_something_changes(teacher, calibration_latents, statistics):
    one, again, other = (
        compress(
            teacher, last_two("conv2d", ratio=0.5, start="random", seed=s), calibration_latents, statistics
        ).decoder.state_dict()
        for s in (0, 0, 1)
    )
    theirs = teacher.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    for name in ("stages.up2.blocks.0.conv1.weight", "stages.up3.blocks.1.conv2.weight"):
        assert not torch.equal(one[name], other[name])
    for name in (name for name in one if name.startswith(("entry", "stages.mid", "stages.up0", "stages.up1.blocks"))):
        assert torch.equal(one[name], theirs[name])


def test_the_teacher_stays_as_it_is(calibration_latents):
    decoder = random_decoder()
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    compress(decoder, last_two("depthwise3d", ratio=0.5), calibration_latents[:1])
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())
    assert [name for name, module in decoder.named_modules() if module._forward_hooks] == []


# --- quality, on random weights: harder than a trained teacher, so the bounds are loose


def quality(student: Decoder, teacher: Decoder) -> float:
    """PSNR to the teacher on latents that nothing was fitted on."""
    z = random_latents(4, 4, 4, n=2, seed=999)
    return psnr(student.decode(z), teacher.decode(z))


CHANGES = [pair for pair in itertools.product(OPERATORS, [1.0, 0.5]) if pair != ("conv3d", 1.0)]


@pytest.mark.parametrize(("operator", "ratio"), CHANGES)
def test_regression_beats_folding(teacher, calibration_latents, statistics, operator, ratio):
    with_refit, without = (
        quality(
            compress(teacher, last_two(operator, ratio=ratio, start=start), calibration_latents, statistics).decoder,
            teacher,
        )
        for start in ("regression", "fold")
    )
    assert with_refit > without + 0.5


@pytest.mark.parametrize("subsets", ["stage", "block"])
def test_each_start_is_better_than_the_one_before(teacher, calibration_latents, statistics, subsets):
    random, slice_, fold, regression = (
        quality(
            compress(
                teacher, last_two(None, ratio=0.5, subsets=subsets, start=start), calibration_latents, statistics
            ).decoder,
            teacher,
        )
        for start in STARTS
    )
    assert random < slice_ < fold
    assert regression > fold + 0.5


def test_layers_in_front_of_the_first_change_are_left_alone(teacher, calibration_latents, statistics):
    """up1 hands over fewer channels, but its blocks see and give what they always did."""
    made = compress(teacher, last_two("conv2d", ratio=0.5), calibration_latents, statistics)
    for part in ("entry", "stages.mid", "stages.up0", "stages.up1.blocks"):
        theirs = teacher.get_submodule(part).state_dict()
        ours = made.decoder.get_submodule(part).state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items()), part


def test_without_compensation_layers_behind_the_last_change_are_left_alone_too(
    teacher, calibration_latents, statistics
):
    def student(compensate: bool) -> Decoder:
        changed = plan({"up0": StageEdit("conv2d")})
        return compress(teacher, changed, calibration_latents, statistics, compensate).decoder

    alone, compensated = student(False), student(True)

    def equal(part: str, one: Decoder, other: Decoder) -> bool:
        ours, theirs = one.get_submodule(part).state_dict(), other.get_submodule(part).state_dict()
        return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())

    assert equal("stages.up0.blocks", alone, compensated)
    for part in ("stages.up0.upsampler", "stages.up1", "head"):
        assert equal(part, alone, teacher)
        assert not equal(part, compensated, teacher)


def block_output(decoder: Decoder, path: str, latents: Tensor) -> Tensor:
    """What a module inside `decoder` gives for a clip, its first frame left out, as (positions, channels)."""
    caught: list[Tensor] = []
    hook = decoder.get_submodule(path).register_forward_hook(lambda _m, _i, output: caught.append(output))
    decoder(latents)
    hook.remove()
    return caught[0][:, :, 1:].movedim(1, -1).flatten(0, 3).detach()


@pytest.mark.parametrize("block", [0, 1])
def test_a_refitted_block_has_no_offset(teacher, calibration_latents, statistics, block):
    """Its bias is solved once, for the convolution and the projection around it together (block 0 of up1 has one)."""
    made = compress(teacher, plan({"up1": StageEdit("conv2d")}), calibration_latents, statistics)
    path, z = f"stages.up1.blocks.{block}", torch.cat(calibration_latents)
    missed = block_output(made.decoder, path, z) - block_output(teacher, path, z)
    assert (missed.mean(dim=0).abs() < 0.1 * missed.std(dim=0)).all()


def redundant_teacher() -> Decoder:
    """A decoder whose up2 and up3 channels are noisy mixtures of a quarter of them, so that the choice matters."""
    decoder = random_decoder(seed=5)
    generator = torch.Generator().manual_seed(6)

    def mixed(conv, width: int) -> None:
        mix = torch.randn(width, width // 4, generator=generator) * torch.logspace(-1, 0.3, width).view(-1, 1)
        rows = conv.weight[: width // 4].clone()
        conv.weight.copy_(torch.tensordot(mix, rows, dims=1) / (width // 4) ** 0.5 + 0.05 * conv.weight)

    for before, stage in (("up1", "up2"), ("up2", "up3")):
        width = decoder.spec.stages[stage].channels
        mixed(decoder.stages[before].upsampler.conv, width)
        for block in decoder.stages[stage].blocks:
            mixed(block.conv1, width)
            mixed(block.conv2, width)
    return decoder


def test_independence_rebuilds_more_than_lots_do(calibration_latents):
    decoder = redundant_teacher()
    statistics = calibrate(decoder, calibration_latents)

    def mean_r2(criterion: str, seed: int = 0) -> float:
        settings = {"ratio": 0.25, "criterion": criterion, "start": "fold", "seed": seed}
        made = compress(decoder, last_two(**settings), calibration_latents, statistics)
        return sum(kept.r2 for kept in made.kept.values()) / len(made.kept)

    lots: Tensor = torch.tensor([mean_r2("random", seed) for seed in range(5)])
    assert mean_r2("independence") > lots.max()
    assert mean_r2("independence") > mean_r2("magnitude")
