"""The other pages, and the server's own settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.app import FIRST, page_names
from tests.synthetic_results import quickstart

ROOT = Path(__file__).parents[2]


def test_the_pareto_page_is_the_first_of_at_least_two():
    assert page_names()[0] == FIRST
    assert "published" in page_names()


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("name", page_names())
def test_every_page_has_a_title_and_shows_an_empty_and_a_full_folder(name, filled, tmp_path):
    def show_page(name: str) -> None:
        import importlib

        page = importlib.import_module(f"dashboard.app_pages.{name}")
        assert page.TITLE
        page.show()

    app = AppTest.from_function(show_page, default_timeout=30, kwargs={"name": name})
    app.query_params["results"] = str(quickstart(tmp_path) if filled else tmp_path)
    app.run()
    assert not app.exception, app.exception
    assert app.title


def published_page(folder: Path) -> AppTest:
    def page() -> None:
        from dashboard.app_pages import published

        published.show()

    app = AppTest.from_function(page, default_timeout=30)
    app.query_params["results"] = str(folder)
    app.run()
    assert not app.exception
    return app


def test_published_numbers_are_shown_with_their_source():
    table = published_page(ROOT / "results").dataframe[0].value
    assert "Flash-VAED-Wan 2.1" in set(table["decoder"])
    assert (table["source"] != "").all()


def test_no_published_numbers_is_a_message(tmp_path):
    assert "No published numbers" in published_page(tmp_path).info[0].value


def test_a_broken_published_table_is_a_message(tmp_path):
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "x.csv").write_text("a,b\n1,2\n")
    assert "cannot be read" in published_page(tmp_path).warning[0].value


SETTINGS = {
    "server.address": "127.0.0.1",
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "type",
}


@pytest.mark.faults
def test_the_server_listens_here_only_and_tells_nobody():
    """As Streamlit itself reads the settings when it is started in the project's folder."""
    script = f"import json, streamlit; print(json.dumps({{n: streamlit.get_option(n) for n in {list(SETTINGS)}}}))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert json.loads(answer.stdout.splitlines()[-1]) == SETTINGS
