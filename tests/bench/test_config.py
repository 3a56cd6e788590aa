"""A typo stops the command in one line that names it; what has no effect does not make another run."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bench import schema
from bench.config import ROOT, compose, options, to_config, to_run_spec
from bench.verbs.pretrain import recipe_of
from flash_vaed.pretrain import PretrainRecipe


def spec_of(*overrides: str):
    return to_run_spec(to_config(compose(overrides), schema.Config))


@pytest.mark.faults
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("prune.ratoi=1", "unknown key 'prune.ratoi'; did you mean 'ratio'"),
        ("plna=paper", "unknown key 'plna'; did you mean 'plan'"),
        ("plan=papr", "unknown plan 'papr'; did you mean 'paper'"),
        ("plan.stages.up9.operator=conv2d", "up9"),
        ("plan.stages.up3.opertor=conv2d", "did you mean 'operator'"),
        ("plan.stages.up3.operator=conv2", "did you mean 'conv2d'"),
        ("prune.criterion=indepndence", "did you mean 'independence'"),
        ("prune.scaling=median", "did you mean 'mean'"),
        ("prune.ratio=a lot", "a lot"),
        ("prune.ratio=0", "above 0 and at most 1"),
        ("prune.calibration_frames=8", "4n + 1"),
        ("distill.phases=[algn]", "did you mean 'align'"),
        ("distill.phases=[align,align]", "twice"),
        ("distill.steps=1", "3 phases need at least as many steps, not 1"),
        ("distill.frames=[8]", "4n + 1"),
        ("distill.options.refine.frames=12", "4n + 1"),
        ("distill.size=20", "multiples of 8"),
        ("distill.pool=0", "at least 1, or null"),
        ("distill.precision=bfloat", "did you mean 'bfloat16'"),
        ("distill.perceptual=lpip", "did you mean 'lpips'"),
        ("distill.options.joint.dynamc=false", "did you mean 'dynamic'"),
        ("distill.options.refine.source_share=2", "source_share from 0 to 1"),
        ("metrics.names=[psrn]", "did you mean 'psnr'"),
        ("metrics.names=[]", "metrics.names is empty"),
        ("data.source=bundle", "did you mean 'bundled'"),
        ("data.protocol.frames=18", "4n + 1"),
        ("task.name=reconstrct", "did you mean 'reconstruct'"),
        ("runtime.dtype=float", "did you mean 'float32'"),
        ("runtime.chunk=0", "runtime.chunk"),
        ("timing.min_blocks=30", "min_blocks"),
        ("timing.width=90", "multiples of 8"),
        ("+extra=1", "cannot be added"),
        ("~plan", "cannot be added or removed"),
        ("hydra.job.name=x", "not used here"),
        ("paper", "write key=value"),
        ("data.root=~/videos", "needs quotes"),
        ("plan.name=../../elsewhere", "names a folder"),
        ("plan.name=/etc", "names a folder"),
        ("plan.name=-rf", "names a folder"),
        (f"plan.name={'x' * 300}", "names a folder"),
        ("plan.name='\u202egnp.exe'", "names a folder"),
        ("teacher._target_=os.mkdir", "_target_"),
    ],
)
def test_what_cannot_be_meant_is_one_line_naming_it(override, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        spec_of(override)
    assert "\n" not in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize("label", ["..", "../../x", "/etc", "-rf", "a\0b", "x" * 300, "\u202egnp"])
def test_an_arm_is_called_what_a_folder_can_be_called(label):
    config = to_config(compose(["task=generate"]), schema.Config)
    config.arms = {label: schema.ArmConf(decoder="wan2.1")}
    with pytest.raises(ValueError, match="names a folder"):
        to_run_spec(config)


@pytest.mark.parametrize("group", sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir()))
def test_every_option_of_every_group_composes(group):
    for option in options(group):
        compose([f"{group}={option}"])


def test_every_plan_has_the_same_stages_so_that_they_can_be_swept_together():
    stages = {tuple(change.stage for change in spec_of(f"plan={name}").plan) for name in options("plan")}
    assert len(stages) == 1


def test_plan_name_is_the_file_name():
    assert {name: spec_of(f"plan={name}").plan_name for name in options("plan")} == {
        name: name for name in options("plan")
    }


@pytest.mark.faults
def test_choices_without_effect_do_not_make_another_run():
    assert spec_of("distill=none").digest() == spec_of("distill=none", "distill.lr=9", "distill.batch=7").digest()
    assert spec_of("distill=full", "distill.steps=0").digest() == spec_of("distill=none").digest()
    unused = spec_of("distill=joint", "distill.options.refine.detail=9", "distill.latent_share=0.1")
    assert unused.digest() == spec_of("distill=joint").digest()
    assert spec_of("plan=teacher", "prune.ratio=0.5").digest() == spec_of("plan=teacher", "prune.ratio=1").digest()


@pytest.mark.faults
def test_where_and_how_long_do_not_make_another_run():
    elsewhere = [
        "paths.results=elsewhere",
        "limits.timeout_s=5",
        "limits.memory_gb=2",
        "device.processes=2",
        "label=x",
        "again=true",
    ]
    assert spec_of(*elsewhere).digest() == spec_of().digest()


def test_a_path_with_special_characters_can_be_quoted():
    assert spec_of("data=folder", 'data.root="/a, b (c)=d"').data.root == "/a, b (c)=d"


def test_values_keep_their_types():
    own = ("distill.options.joint.dynamic=false", "distill.frames=[5,9]")
    spec = spec_of("prune.ratio=0.25", "distill.phases=[joint]", "distill.steps=7", "runtime.chunk=1", "seed=3", *own)
    (phase,) = spec.distill.phases
    assert (spec.prune.ratio, phase.name, phase.steps, spec.distill.frames) == (0.25, "joint", 7, (5, 9))
    assert dict(phase.options) == {"dynamic": False, "features": 0.1, "frames": None}
    assert (spec.runtime.chunk, spec.seed) == (1, 3)


def test_the_pretraining_recipe_passes_through_its_schema_unchanged():
    config = to_config(compose([], "pretrain"), schema.PretrainConfig)
    assert recipe_of(config.recipe) == PretrainRecipe()
    changed = to_config(compose(["recipe.multipliers=[1,2]", "recipe.steps=5"], "pretrain"), schema.PretrainConfig)
    assert recipe_of(changed.recipe) == dataclasses.replace(PretrainRecipe(), multipliers=(1, 2), steps=5)


def test_a_typo_in_the_pretraining_recipe_is_refused():
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        compose(["recipe.stpes=5"], "pretrain")
