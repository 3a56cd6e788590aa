"""One file, no second implementation: it stands alone, holds what is needed, and refuses two meanings of a name."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from flash_vaed.export import bundle as bundling
from flash_vaed.export.bundle import bundle
from flash_vaed.export.folder import modelling_code
from tests.flash_vaed.export.specs import SPECS


@pytest.mark.parametrize("name", SPECS)
def test_nothing_is_imported_from_this_package(name):
    tree = ast.parse(modelling_code(SPECS[name]))
    sources = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    sources |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {source.split(".")[0] for source in sources} - sys.stdlib_module_names == {"torch", "diffusers"}


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_no_name_is_undefined_unused_or_defined_twice(tmp_path):
    for name, spec in SPECS.items():
        (tmp_path / f"{name}.py").write_text(modelling_code(spec))
    (tmp_path / "broken.py").write_text("import os\n\nlost\n")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,I", "--output-format", "concise"]
    answer = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=60)
    found = [line for line in answer.stdout.splitlines() if ".py:" in line]
    assert len(found) == 2, answer.stdout
    assert all("broken.py" in line for line in found), answer.stdout


def test_a_file_holds_what_its_decoder_needs():
    wan, student, ltx = (modelling_code(SPECS[name]) for name in ("wan", "student", "ltx"))
    assert "class FrameAttention" in wan
    assert "class FrameAttention" not in ltx
    assert "class PixelNorm" in ltx
    assert "class PixelNorm" not in wan
    assert "class Depthwise3dWide" in student
    assert "class Depthwise3d" not in wan


def test_docstrings_of_modules_are_comments_and_the_licence_is_on_top():
    code = modelling_code(SPECS["wan"])
    assert code.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert ast.get_docstring(ast.parse(code)) is None
    assert "\n# The decoder's memory between chunks, as a value.\n" in code


def test_a_module_comes_behind_what_it_needs():
    code = modelling_code(SPECS["wan"])
    order = [
        code.index(f"--- flash_vaed/{name}.py ---") for name in ("spec", "families/base", "families/wan", "decoder")
    ]
    assert order == sorted(order)


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    """A package of the same name with two modules in it."""
    monkeypatch.setattr(bundling, "ROOT", tmp_path)
    (tmp_path / "flash_vaed").mkdir()
    (tmp_path / "flash_vaed" / "base.py").write_text(
        '"""Base."""\n\nfrom math import pi\n\nWIDTH = 2\n__all__ = ["WIDTH"]\n'
    )
    return tmp_path / "flash_vaed"


def test_two_modules_become_one(house):
    (house / "top.py").write_text("from math import e\nfrom flash_vaed.base import WIDTH\n\nAREA = WIDTH**2 + e\n")
    code = bundle(["flash_vaed.top"])
    assert "__all__" not in code
    assert "from math import e, pi" in code
    namespace: dict[str, object] = {"__name__": "math"}
    exec(code, namespace)
    assert namespace["AREA"] == pytest.approx(6.718, abs=1e-3)


def test_what_only_a_type_checker_reads_stays_out(house):
    checked = (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from flash_vaed.base import WIDTH\n\nAREA = 1\n"
    )
    (house / "top.py").write_text(checked)
    code = bundle(["flash_vaed.top"])
    assert "TYPE_CHECKING" not in code
    assert "WIDTH" not in code, "nothing is needed at run time"


@pytest.mark.parametrize("line", ["WIDTH = 3", "from sys import argv as WIDTH", "def WIDTH(): ...", "WIDTH: int = 4"])
def test_two_meanings_of_a_name_are_refused(house, line):
    (house / "top.py").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"an exported file has one WIDTH, but flash_vaed.base defines it and"):
        bundle(["flash_vaed.base", "flash_vaed.top"])


@pytest.mark.parametrize(
    "line",
    ["from flash_vaed.base import WIDTH as W", "import flash_vaed.base", "def f():\n    from flash_vaed import base"],
)
def test_an_import_that_one_file_cannot_have_is_refused(house, line):
    (house / "top.py").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"flash_vaed.top line \d: "):
        bundle(["flash_vaed.top"])


def test_a_module_from_elsewhere_is_refused():
    with pytest.raises(ValueError, match="json is not a module of flash_vaed; put its file there"):
        bundle(["json"])


def test_only_the_exported_class_imports_diffusers_when_loaded():
    """The rest of the package must work, and export, where diffusers is not installed."""
    root = Path(bundling.__file__).parents[1]
    at_the_top = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "diffusers" in ast.unparse(node).split()[1]
    }
    assert at_the_top == {"export/modeling.py"}
