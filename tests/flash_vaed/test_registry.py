"""Names become classes; a collision and a miss are clear errors; a name is its file's name."""

from __future__ import annotations

import pytest

from flash_vaed.distill import PHASES
from flash_vaed.families import FAMILIES
from flash_vaed.operators import OPERATORS
from flash_vaed.pruning import CRITERIA
from flash_vaed.registry import Registry


@pytest.fixture
def fruit() -> Registry[str]:
    registry: Registry[str] = Registry("fruit")
    registry.register("apple")("red")
    registry.register("banana")("yellow")
    return registry


def test_an_entry_comes_back_under_its_name(fruit):
    assert fruit.get("apple") == "red"
    assert fruit.names() == list(fruit) == ["apple", "banana"]
    assert "apple" in fruit
    assert "cherry" not in fruit


def test_a_near_miss_suggests_and_a_far_one_lists(fruit):
    with pytest.raises(ValueError, match="unknown fruit 'aple'; did you mean 'apple'"):
        fruit.get("aple")
    with pytest.raises(ValueError, match="known: apple, banana"):
        fruit.get("xyz")


def test_a_name_is_given_once(fruit):
    with pytest.raises(ValueError, match="fruit 'apple' is registered twice"):
        fruit.register("apple")("green")


@pytest.mark.parametrize("registry", [OPERATORS, CRITERIA, PHASES, FAMILIES], ids=lambda registry: registry.kind)
def test_every_name_is_its_files_name(registry):
    assert registry.names()
    for name in registry:
        assert registry.get(name).__module__.rsplit(".", 1)[1] == name


def test_a_new_file_is_found_without_an_edit_elsewhere(tmp_path, monkeypatch):
    package = tmp_path / "plugin_package"
    package.mkdir()
    (package / "__init__.py").write_text("from flash_vaed.registry import Registry\nR = Registry('thing', __name__)\n")
    (package / "late.py").write_text("from plugin_package import R\nR.register('late')(42)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import plugin_package

    assert plugin_package.R.get("late") == 42
