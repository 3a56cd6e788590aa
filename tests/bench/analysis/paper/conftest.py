"""One results folder with something for every figure, read once."""

from __future__ import annotations

import pytest

from bench import analysis
from bench.analysis.paper import Material
from bench.analysis.published import load_published
from tests.synthetic_paper import everything


@pytest.fixture(scope="session")
def paper_results(tmp_path_factory):
    return everything(tmp_path_factory.mktemp("paper") / "results")


@pytest.fixture(scope="session")
def material(paper_results):
    return Material(analysis.load(paper_results), load_published(paper_results))
