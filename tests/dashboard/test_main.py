"""How the dashboard is started: with a head start, or by Streamlit's own command from anywhere."""

from __future__ import annotations

import subprocess
import sys

from dashboard import __main__, cache
from dashboard.data import stamp
from tests.dashboard.browser import ROOT
from tests.synthetic_results import quickstart


def test_the_head_start_leaves_a_summary_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = str(quickstart(tmp_path / "results"))
    __main__._head_start(["--results", folder])
    monkeypatch.setattr(cache, "_compute", None)  # computing again would be an error
    assert len(cache.digest([folder], stamp([folder])).summary)


def test_results_that_cannot_be_read_do_not_end_the_head_start(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    __main__._head_start(["--results", str(tmp_path / "nothing")])


def test_the_page_finds_its_package_from_any_folder(tmp_path):
    """`streamlit run .../app.py` brings the script's own folder only."""
    script = f"import runpy; runpy.run_path({str(ROOT / 'dashboard' / 'app.py')!r}, run_name='page')"
    done = subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
