"""The page on faults names tests that exist and carry the mark, for each of its 25 lines."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text()


def named() -> dict[str, list[tuple[str, str]]]:
    """Line number -> (file, function) of the table."""
    found: dict[str, list[tuple[str, str]]] = {}
    for number, cell in re.findall(r"^\| (\d*) \|[^|]+\|([^|]+)\|$", PAGE, re.MULTILINE):
        for part in cell.split(";"):
            file, functions = part.split(":", 1)
            found.setdefault(number, []).extend(
                (file.strip(" `"), f"test_{name}") for name in re.findall(r"`(\w+)`", functions)
            )
    return found


@functools.cache
def marked(file: str) -> set[str]:
    """Functions of a test file that are marked as tests of faults."""
    tree = ast.parse((ROOT / file).read_text())
    everything = any(isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node) and "mark.faults" in
                     ast.unparse(node) for node in tree.body)  # fmt: skip
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {
        node.name for node in functions
        if everything or any(ast.unparse(decorator) == "pytest.mark.faults" for decorator in node.decorator_list)
    }  # fmt: skip


def test_every_line_of_the_checklist_has_tests_that_exist_and_are_marked():
    table = named()
    assert [int(number) for number in table if number] == list(range(1, 26))
    for number, tests in table.items():
        assert tests, number
        assert [pair for pair in tests if pair[1] not in marked(pair[0])] == [], number


def test_every_marked_test_is_on_the_page():
    listed = {pair for tests in named().values() for pair in tests}
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if "mark.faults" in path.read_text()]
    assert len(files) > 30
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in files
        if path != Path(__file__)
        for name in marked(str(path.relative_to(ROOT)))
        if name.startswith("test_")
    }
    assert found - listed == set()
