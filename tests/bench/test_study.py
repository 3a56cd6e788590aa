"""Studies become the points they describe; spellings that Hydra would misread are refused."""

from __future__ import annotations

import re

import pytest

from bench import config
from bench.config import compose, options, to_config, to_run_spec
from bench.schema import Config
from bench.study import study_points

LINKED = """# @package _global_
study:
  name: linked
  control: whole
  points:
    whole: plan=teacher distill=none
    half/2: plan=dense prune.ratio=0.5
distill:
  steps: 33
"""

GRID = """# @package _global_
study:
  name: grid_study
  axes:
    prune.ratio: 1,0.5,0.25
    seed: range(0,2)
    plan: paper
"""


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """A project whose ablations folder holds two small studies and whatever a test adds; its path needs quoting."""
    root = tmp_path / "a, b (c)"
    (root / "ablations").mkdir(parents=True)
    (root / "conf").symlink_to(config.ROOT / "conf")
    (root / "ablations" / "linked.yaml").write_text(LINKED)
    (root / "ablations" / "grid_study.yaml").write_text(GRID)
    monkeypatch.setattr(config, "ROOT", root)
    return root / "ablations"


def specs_of(*arguments: str):
    _, points = study_points(arguments)
    return {point.label: to_run_spec(to_config(compose(point.overrides), Config)) for point in points}


def test_linked_points_compose_as_written_with_the_settings_of_the_study(studies):
    specs = specs_of("ablations=linked")
    assert list(specs) == ["whole", "half/2"]
    assert (specs["half/2"].plan_name, specs["half/2"].prune.ratio) == ("dense", 0.5)
    assert sum(phase.steps for phase in specs["half/2"].distill.phases) == 33
    assert specs["whole"].distill.phases == ()
    assert {spec.study for spec in specs.values()} == {"linked"}


def test_axes_span_a_grid_and_a_value_on_the_command_line_narrows_it(studies):
    assert len(specs_of("ablations=grid_study")) == 6
    specs = specs_of("ablations=grid_study", "seed=1")
    assert sorted(spec.prune.ratio for spec in specs.values()) == [0.25, 0.5, 1.0]
    assert {spec.seed for spec in specs.values()} == {1}


def test_lists_on_the_command_line_multiply_the_points(studies):
    specs = specs_of("ablations=linked", "seed=0,1")
    assert list(specs) == ["whole seed=0", "whole seed=1", "half/2 seed=0", "half/2 seed=1"]


def test_a_grid_needs_no_study():
    specs = specs_of("plan=paper,dense", "prune.ratio=1,0.5")
    assert [(s.plan_name, s.prune.ratio) for s in specs.values()] == [
        ("paper", 1.0), ("paper", 0.5), ("dense", 1.0), ("dense", 0.5),
    ]  # fmt: skip
    assert len({spec.digest() for spec in specs.values()}) == 4


def test_points_can_be_picked(studies):
    assert list(specs_of("ablations=linked", "study.only=[half/2]")) == ["half/2"]


def test_the_quickstart_is_what_a_bare_multirun_means_and_has_a_control():
    study, points = study_points([])
    assert study.name == "quickstart"
    assert 10 <= len(points) <= 14
    assert study.control in study.points
    digests = {point.label: to_run_spec(to_config(compose(point.overrides), Config)).digest() for point in points}
    assert len(set(digests.values())) == len(points)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ablations=linkd"], "unknown study 'linkd'; known: grid_study, linked"),
        (["ablations=linked,grid_study"], "exactly one study"),
        (["ablations=choice(linked)"], "exactly one study"),
        (["ablations=[linked,grid_study]"], "exactly one study"),
        (["ablations=glob(*)"], "exactly one study"),
        (["ablations=../linked"], "exactly one study"),
        (["ablations=linked", "ablations=grid_study"], "exactly one study"),
        (["ablation=linked"], "ablations=NAME"),
        (["ablations=linked", "plan=paper"], "what the points of 'linked' differ in"),
        (["ablations=linked", "plan=paper,dense"], "what the points of 'linked' differ in"),
        (["ablations=linked", "study.only=[half]"], "no point 'half'"),
        (["ablations=linked", "paths.results=a,b"], "takes one value"),
        (["ablations=linked", "label=x"], "every point has its own"),
        (["plan=glob(*)"], "one by one"),
        (["distill.lr=interval(0,1)"], "one by one"),
    ],
)
def test_spellings_that_would_be_misread_are_refused(studies, arguments, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        study_points(arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LINKED.replace("name: linked", "name: other"), "one name"),
        (LINKED.replace("control: whole", "control: hole"), "'hole'"),
        (LINKED.replace("half/2:", "half 2:"), "half 2"),
        (LINKED.replace("points:", "piont:"), "piont"),
        (LINKED.replace("steps: 33", "stpes: 33"), "stpes"),
        (LINKED.replace("half/2:", "whole:"), "duplicate"),
    ],
)
def test_a_study_that_is_wrong_says_where(studies, text, words):
    (studies / "linked.yaml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        study_points(["ablations=linked"])
    assert "\n" not in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize(
    "line",
    [
        "question: !!python/object/apply:os.mkdir [CANARY]",
        "question: !!python/object/new:os.mkdir [CANARY]",
        "question: !!python/name:os.mkdir",
        "_target_: os.mkdir",
        "question: {_target_: os.mkdir, path: CANARY}",
        "question: ${python:os.mkdir('CANARY')}",
    ],
)
def test_a_study_cannot_name_code_to_be_run(studies, line):
    canary = studies / "canary"
    (studies / "linked.yaml").write_text(LINKED.replace("study:", f"study:\n  {line.replace('CANARY', str(canary))}"))
    with pytest.raises(ValueError, match=r".") as caught:
        specs_of("ablations=linked")
    assert "\n" not in str(caught.value)
    assert not canary.exists()


def test_a_point_that_is_wrong_is_found_by_composing(studies):
    (studies / "linked.yaml").write_text(LINKED.replace("prune.ratio=0.5", "prune.raito=0.5"))
    with pytest.raises(ValueError, match="raito"):
        specs_of("ablations=linked")


@pytest.mark.parametrize("name", options("ablations"))
def test_every_study_of_the_project_composes_to_runs_that_differ(name):
    specs = specs_of(f"ablations={name}")
    assert len({spec.digest() for spec in specs.values()}) == len(specs) >= 1
