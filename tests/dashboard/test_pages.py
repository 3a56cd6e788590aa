"""The other pages, and the server's own settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]


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
    assert "Flash-VAED-Wan 2.1" in set(table["decoder"]) and table["source"].str.contains("arXiv").all()


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


def test_the_server_listens_here_only_and_tells_nobody():
    """As Streamlit itself reads the settings when it is started in the project's folder."""
    script = f"import json, streamlit; print(json.dumps({{n: streamlit.get_option(n) for n in {list(SETTINGS)}}}))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert json.loads(answer.stdout.splitlines()[-1]) == SETTINGS
