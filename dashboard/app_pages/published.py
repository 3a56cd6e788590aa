"""Numbers from papers, for reading beside one's own. They are not ranked with measured runs."""

from __future__ import annotations

import streamlit as st

from bench.analysis.published import load_published, published_table
from bench.records.remote import is_address, local_copy
from dashboard.data import choose_folders, code

TITLE = "Published numbers"


def show() -> None:
    """The page, top to bottom."""
    st.title("Published numbers")
    st.write(
        "As printed by the authors. Clips, resolution, precision and device differ from the runs stored here or are "
        "not stated, so these numbers are never ranked with measured ones."
    )
    for folder in choose_folders():
        try:
            rows = load_published(local_copy(folder) if is_address(folder) else folder)
        except ValueError as error:
            st.warning(f"These numbers cannot be read. {code(str(error))}")
            continue
        if rows.empty:
            st.info(f"No published numbers are stored in {code(folder)}.")
        else:
            st.dataframe(published_table(rows), hide_index=True, width="stretch")
