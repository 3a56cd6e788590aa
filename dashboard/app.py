"""The dashboard: reads results folders, shows them, writes nothing.

    python -m streamlit run dashboard/app.py -- --results DIR [DIR ...]

Each page is one file in `dashboard/app_pages/` with a `TITLE` and a function `show`; a new file is a new page.
"""

from __future__ import annotations

import importlib
import pkgutil

import streamlit as st

from dashboard import app_pages

FIRST = "pareto"


def main() -> None:
    """Set the frame and run the chosen page."""
    st.set_page_config(page_title="Video-VAE decoders", layout="wide")
    modules = {name: importlib.import_module(f"{app_pages.__name__}.{name}") for name in page_names()}
    st.navigation(
        [st.Page(page.show, title=page.TITLE, url_path=name, default=name == FIRST) for name, page in modules.items()]
    ).run()


def page_names() -> list[str]:
    """The files of `dashboard/app_pages/`, `FIRST` in front, the others by name."""
    names = (module.name for module in pkgutil.iter_modules(app_pages.__path__))
    return sorted(names, key=lambda name: (name != FIRST, name))


if __name__ == "__main__":
    main()
