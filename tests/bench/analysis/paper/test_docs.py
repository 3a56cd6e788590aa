"""docs/figures.md lists every figure, and its example is a figure."""

from __future__ import annotations

import re
from pathlib import Path

from bench.analysis import paper

PAGE = (Path(__file__).parents[4] / "docs" / "figures.md").read_text()


def test_every_figure_is_listed_with_its_studies():
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE))
    known = paper.all_figures()
    assert set(rows) == set(known)
    for name, figure in known.items():
        if figure.studies and not figure.missing:
            assert re.findall(r"`(\w+)`", rows[name]) == list(figure.studies), name


def test_the_example_is_a_figure(material, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(code, names)
    numbers = names["FIGURE"].numbers(material)
    assert len(numbers) == 2
    assert len(paper.write("memory", names["FIGURE"], numbers, tmp_path)) == 4
