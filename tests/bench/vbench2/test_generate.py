"""A plan becomes one run of task=generate: its prompts, the usual arms, whatever else was asked for."""

from __future__ import annotations

import pytest

from bench.config import compose, to_config, to_run_spec
from bench.schema import Config
from bench.vbench2.commands import generate
from bench.vbench2.plan import Entry, Plan, Subset, write_plan


@pytest.fixture
def launched(monkeypatch) -> list:
    """What would be run."""
    calls: list = []
    monkeypatch.setattr(generate, "launch", lambda verb, points, argv: calls.append((verb, points, argv)) or 0)
    return calls


@pytest.fixture
def plan(tmp_path) -> str:
    file = tmp_path / "my plan.json"
    entry = Entry("short-0.mp4", "short", "long", 0, 7, ("Diversity",))
    write_plan(Plan("abc", "wanx", 0, Subset(1, ("Diversity",)), (entry,)), file)
    return str(file)


def test_the_plan_is_the_prompts_of_a_run(plan, launched, capsys):
    assert generate.main(["--plan", plan, "host=tiny_ltx", "distill=none"]) == 0
    ((verb, points, _),) = launched
    assert verb == "run"
    spec = to_run_spec(to_config(compose(points[0].overrides), Config))
    assert spec.task == "generate"
    assert spec.host.name == "tiny_ltx"
    assert spec.prompts.file == plan
    assert [arm.label for arm in spec.arms] == ["own", "copy", "student"]
    assert "1 videos of 1 prompts" in capsys.readouterr().err


def test_an_unreadable_plan_starts_nothing(tmp_path, launched):
    with pytest.raises(ValueError, match="vbench2 plan"):
        generate.main(["--plan", str(tmp_path / "absent.json")])
    assert launched == []
