"""Who may import whom, and what readers of results must never load.

The arrows are those of docs/architecture.md: flash_vaed knows nothing of the runner; records and analysis nothing of
torch, Hydra or the models; the dashboard knows records and analysis only.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

READERS = (
    "torch hydra omegaconf flash_vaed streamlit bench.config bench.run bench.data bench.metrics bench.tasks dashboard"
)
FORBIDDEN = {
    "flash_vaed": "bench dashboard hydra omegaconf pandas pyarrow streamlit plotly",
    "bench": "dashboard streamlit",
    "bench/records": f"{READERS} bench.analysis plotly",
    "bench/analysis": READERS,
}
DASHBOARD_MAY = {"streamlit", "plotly", "pandas", "numpy", "dashboard", "bench", *sys.stdlib_module_names}


def imported_modules(path: Path) -> Iterator[str]:
    """Full names of everything a file imports, wherever in the file the import stands."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(folder: str, forbidden: str) -> list[str]:
    """`file imports module` for each import that the folder must not have."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module in imported_modules(path):
            if any(module == name or module.startswith(f"{name}.") for name in forbidden.split()):
                found.append(f"{path.relative_to(ROOT)} imports {module}")
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_no_import_goes_against_the_arrows(folder):
    assert list((ROOT / folder).rglob("*.py")), f"{folder} has no Python file"
    assert violations(folder, FORBIDDEN[folder]) == []


def test_the_dashboard_imports_readers_only():
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        for module in imported_modules(path):
            assert module.split(".")[0] in DASHBOARD_MAY, f"{path.name} imports {module}"
            if module.split(".")[0] == "bench":
                reader = module.startswith(("bench.records", "bench.analysis"))
                assert reader, f"{path.name} imports {module}"


def test_a_planted_reverse_import_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "flash_vaed").mkdir()
    planted = "def f():\n    from bench import run\n    import pandas.api\n    from . import spec\n"
    (tmp_path / "flash_vaed" / "bad.py").write_text(planted)
    assert violations("flash_vaed", FORBIDDEN["flash_vaed"]) == [
        "flash_vaed/bad.py imports bench.run",
        "flash_vaed/bad.py imports pandas.api",
    ]
    assert list(imported_modules(tmp_path / "flash_vaed" / "bad.py"))[-1] == "flash_vaed.spec"


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter after `statement`."""
    script = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.split())


def modules_under(folder: str) -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def test_readers_of_results_load_neither_torch_nor_hydra():
    """One interpreter imports every module of records, analysis and dashboard."""
    modules = [name for folder in ("bench/records", "bench/analysis", "dashboard") for name in modules_under(folder)]
    assert {"bench.records", "bench.analysis", "dashboard.app_pages.pareto"} <= set(modules)
    loaded = loaded_after("import " + ", ".join(modules))
    assert loaded & {"torch", "hydra", "omegaconf", "flash_vaed", "diffusers"} == set()


def test_analysis_needs_no_plotting_package():
    """The report must work without the dashboard's packages, and the numbers of the figures without matplotlib."""
    drawing = {"plotly", "streamlit", "matplotlib"}
    assert loaded_after("import bench.records, bench.analysis") & drawing == set()
    numbers = "from bench.analysis import paper; paper.all_figures()"
    assert loaded_after(numbers) & {*drawing, "torch", "hydra"} == set()
