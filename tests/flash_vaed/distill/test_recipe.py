"""Recipes: budgets that add up, and what cannot be meant."""

from __future__ import annotations

import pytest

from flash_vaed.distill import PHASES, DistilRecipe, Settings

ALL = ("align", "joint", "refine")


def steps_of(recipe: DistilRecipe) -> dict[str, int]:
    return {plan.name: plan.steps for plan in recipe.plans()}


@pytest.mark.parametrize("phases", [("align",), ("align", "refine"), ALL, ("refine", "joint", "align")], ids="+".join)
def test_steps_of_the_phases_add_up(phases):
    for steps in (len(phases), 7, 10, 120, 121):
        split = steps_of(DistilRecipe(phases, steps))
        assert list(split) == list(phases)
        assert sum(split.values()) == steps
        assert min(split.values()) >= 1


def test_the_budget_follows_the_shares():
    assert steps_of(DistilRecipe(ALL, 200)) == {"align": 30, "joint": 110, "refine": 60}


def test_a_phase_may_have_steps_of_its_own():
    recipe = DistilRecipe(ALL, 100, {"align": PHASES.get("align").Options(steps=7)})
    steps = steps_of(recipe)
    assert steps["align"] == 7
    assert steps["joint"] + steps["refine"] == 100
    assert recipe.plans()[0].to_json()["steps"] == 7
    assert "steps" not in recipe.plans()[0].to_json()["options"]


def test_impossible_recipes_are_refused():
    with pytest.raises(ValueError, match="unknown distillation phase 'jointly'; did you mean 'joint'"):
        DistilRecipe(("jointly",))
    with pytest.raises(ValueError, match="3 phases need at least as many steps, not 2"):
        DistilRecipe(steps=2)
    with pytest.raises(ValueError, match="every phase comes once, not align, align"):
        DistilRecipe(("align", "align"))
    with pytest.raises(ValueError, match="options for refine, which is no phase of this recipe"):
        DistilRecipe(("align",), options={"refine": PHASES.get("refine").Options()})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "float8"}, "float32, bfloat16, not 'float8'"),
        ({"batch": 0}, "at least 1, not 0 and 1"),
        ({"ema": 1.0}, "below 1, not 1.0"),
        ({"lr": 0.0}, "above 0, not 0.0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)
