"""Composed together or alone, a point has the same config, and a mistake the same words."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from bench import composer as module
from bench.composer import Composer
from bench.config import compose, options
from bench.study import study_points


@pytest.mark.parametrize("name", options("ablations"))
def test_points_of_every_study_are_what_hydra_makes_of_them(name):
    composer = Composer()
    for point in study_points([f"ablations={name}"])[1][::3]:
        ours, theirs = composer.compose(point.overrides), compose(point.overrides)
        assert ours == theirs
        assert OmegaConf.to_yaml(ours) == OmegaConf.to_yaml(theirs)


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=1", "seed=2"],
        ["prune.ratio=0.25", "plan=dense", "label=x"],
        ["plan.stages={mid:{operator:conv2d}}", "distill.frames=[5,9]"],
        ["data=folder", 'data.root="/a, b (c)=d"'],
        ["paths.cache=/x", "limits.timeout_s=1e3"],
        ["launcher=slurm", "launcher.partition=gpu", "launcher.setup=[a,b]"],
        ["runtime=fast", "runtime.rewrites=[]", "baseline=x"],
    ],
)
def test_values_are_set_as_hydra_sets_them(overrides):
    assert OmegaConf.to_yaml(Composer().compose(overrides), resolve=True) == OmegaConf.to_yaml(
        compose(overrides), resolve=True
    )


@pytest.mark.parametrize(
    "override",
    ["prune.ratoi=1", "plna=paper", "plan=papr", "seed=a", "prune.ratio=a lot", "seed=1,2", "+x=1", "nothing"],
)
def test_a_mistake_is_told_in_the_same_words(override):
    with pytest.raises(ValueError, match=r"\w") as expected:
        compose([override])
    with pytest.raises(ValueError, match=r"\w") as told:
        Composer().compose(["seed=3", override]) if override != "seed=a" else Composer().compose([override])
    assert str(told.value) == str(expected.value)


def test_one_point_does_not_colour_the_next():
    composer = Composer()
    assert composer.compose(["prune.ratio=0.5", "distill.frames=[5]"]).prune.ratio == 0.5
    second = composer.compose([])
    assert (second.prune.ratio, list(second.distill.frames)) == (1.0, list(compose([]).distill.frames))


def test_points_that_share_their_options_are_composed_once(monkeypatch):
    composed = []
    monkeypatch.setattr(module, "compose", lambda overrides: composed.append(overrides) or compose(overrides))
    composer = Composer()
    for seed in range(5):
        composer.compose(["plan=dense", f"seed={seed}"])
    assert composed == [("plan=dense",)]
