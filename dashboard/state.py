"""Widgets that keep their value in the URL, so that a view can be shared and survives a reload.

A value in the URL that is not among the options is ignored; the default is not written there.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def text_input(label: str, name: str, default: str) -> str:
    """A text field kept as the query parameter `name`."""
    st.session_state.setdefault(name, st.query_params.get(name, default))
    value = st.text_input(label, key=name)
    _remember(name, [value] if value != default else [])
    return value


def selectbox(label: str, name: str, options: list[str], default: str, shown: Callable[[str], str] = str) -> str:
    """A choice of one option kept as the query parameter `name`."""
    if st.session_state.get(name) not in options:
        asked = st.query_params.get(name)
        st.session_state[name] = asked if asked in options else default
    value = st.selectbox(label, options, key=name, format_func=shown)
    assert value is not None  # one of the options was set above
    _remember(name, [value] if value != default else [])
    return value


def multiselect(label: str, name: str, options: list[str]) -> list[str]:
    """A choice of several options, all at first, kept as repeated query parameters `name`."""
    before = st.session_state.get(name, st.query_params.get_all(name) or options)
    kept = [option for option in before if option in options]
    st.session_state[name] = kept if kept or not before else options  # emptied by hand stays empty
    values = st.multiselect(label, options, key=name)
    _remember(name, values if values != options else [])
    return values


def _remember(name: str, values: list[str]) -> None:
    if values:
        st.query_params[name] = values
    elif name in st.query_params:
        del st.query_params[name]
