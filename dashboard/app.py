"""The dashboard: reads results folders, shows them, writes nothing.

    python -m streamlit run dashboard/app.py -- --results DIR [DIR ...]

Each page is one file in `dashboard/app_pages/` with a function `show`.
"""

from __future__ import annotations

import streamlit as st

from dashboard.app_pages import pareto, published


def main() -> None:
    """Set the frame and run the chosen page."""
    st.set_page_config(page_title="Video-VAE decoders", layout="wide")
    pages = [
        st.Page(pareto.show, title="Pareto front", url_path="pareto", default=True),
        st.Page(published.show, title="Published numbers", url_path="published"),
    ]
    st.navigation(pages).run()


if __name__ == "__main__":
    main()
