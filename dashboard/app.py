"""The dashboard: reads results folders, shows them, writes nothing among them.

    streamlit run dashboard/app.py -- --results DIR [DIR ...]
    python -m dashboard --results DIR [DIR ...]               the same with a head start

Each page is one file in `dashboard/app_pages/` with a `TITLE` and a function `show`; a new file is a new page. `ORDER`,
where a page has one, is its place in the list.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

import streamlit as st

sys.path.append(str(Path(__file__).parents[1]))  # `streamlit run` brings the script's own folder only

from dashboard import app_pages

FIRST = "pareto"
LAST = 1000


def main() -> None:
    """Set the frame and run the chosen page."""
    st.set_page_config(page_title="Video-VAE decoders", layout="wide")
    st.navigation(
        [
            st.Page(_page(name).show, title=_page(name).TITLE, url_path=name, default=name == FIRST)
            for name in page_names()
        ]
    ).run()


def page_names() -> list[str]:
    """The files of `dashboard/app_pages/`, `FIRST` in front, the others by their `ORDER`, then by name."""
    names = (module.name for module in pkgutil.iter_modules(app_pages.__path__))
    return sorted(names, key=lambda name: (name != FIRST, getattr(_page(name), "ORDER", LAST), name))


def _page(name: str) -> ModuleType:
    return importlib.import_module(f"{app_pages.__name__}.{name}")


if __name__ == "__main__":
    main()
