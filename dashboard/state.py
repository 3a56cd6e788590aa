"""Widgets that keep their value in the URL, so that a view can be shared and survives a reload.

A value in the URL that is not among the options is ignored; the default is not written there. Values also survive a
change of page, which empties the URL: they are kept in the session under the widget's name. So are the chosen runs,
which every page shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

MOST_CHOSEN = 50  # runs in one link
_KEPT = "kept in this session"
_CHOSEN = "run"


def text_input(label: str, name: str, default: str = "", **more: Any) -> str:
    """A text field kept as the query parameter `name`."""
    if name not in st.session_state:
        asked = _asked(name)
        st.session_state[name] = asked[0] if asked else default
    value = st.text_input(label, key=name, **more)
    _remember(name, [value], value == default)
    return value


def selectbox(
    label: str, name: str, options: Sequence[str], default: str, shown: Callable[[str], str] = str, **more: Any
) -> str:
    """A choice of one option kept as the query parameter `name`."""
    if st.session_state.get(name) not in options:
        asked = "".join(_asked(name)[:1])
        st.session_state[name] = asked if asked in options else default
    value = st.selectbox(label, options, key=name, format_func=shown, **more)
    assert value is not None  # one of the options was set above
    _remember(name, [value], value == default)
    return value


def multiselect(
    label: str,
    name: str,
    options: Sequence[str],
    default: Sequence[str] | None = None,
    shown: Callable[[str], str] = str,
    **more: Any,
) -> list[str]:
    """A choice of several options, `default` (all) at first, kept as repeated query parameters `name`."""
    start = list(options if default is None else default)
    before = st.session_state.get(name, _asked(name) or start)
    kept = [option for option in before if option in options]
    st.session_state[name] = kept if kept or not before else start  # emptied by hand stays empty
    values = st.multiselect(label, options, key=name, format_func=shown, **more)
    _remember(name, values, values == start)
    return values


def toggle(label: str, name: str, default: bool = False, **more: Any) -> bool:
    """A switch kept as the query parameter `name`: 1 or 0."""
    if name not in st.session_state:
        asked = "".join(_asked(name)[:1])
        st.session_state[name] = asked == "1" if asked in ("0", "1") else default
    value = st.toggle(label, key=name, **more)
    _remember(name, ["1" if value else "0"], value == default)
    return value


def chosen() -> list[str]:
    """Ids of the runs that were picked on any page, in that order."""
    if _CHOSEN not in _kept():
        _kept()[_CHOSEN] = list(dict.fromkeys(st.query_params.get_all(_CHOSEN)))[:MOST_CHOSEN]
    runs = _kept()[_CHOSEN]
    if runs and st.query_params.get_all(_CHOSEN) != runs:
        st.query_params[_CHOSEN] = runs
    return list(runs)


def choose(run_ids: Sequence[str]) -> None:
    """Make these the chosen runs of all pages; the first `MOST_CHOSEN` are kept."""
    runs = list(dict.fromkeys(map(str, run_ids)))[:MOST_CHOSEN]
    _kept()[_CHOSEN] = runs
    if runs:
        st.query_params[_CHOSEN] = runs
    elif _CHOSEN in st.query_params:
        del st.query_params[_CHOSEN]


def pick(key: str, run_ids: Sequence[str]) -> bool:
    """Choose what a chart or table `key` has selected, once per selection: True when that changed the choice."""
    runs, last = list(dict.fromkeys(run_ids)), f"last {key}"
    if st.session_state.get(last, []) == runs:
        return False
    st.session_state[last] = runs
    if not runs or runs[:MOST_CHOSEN] == chosen():
        return False
    choose(runs)
    return True


def follow_choice(names: Sequence[str]) -> None:
    """Let widgets `names` start again from the chosen runs when these have changed since the last look."""
    seen, now = st.session_state.get("choice seen"), chosen()
    st.session_state["choice seen"] = now
    if seen is not None and seen != now:
        for name in names:
            st.session_state.pop(name, None)
            _kept().pop(name, None)
            if name in st.query_params:
                del st.query_params[name]


def _kept() -> dict[str, list[str]]:
    return st.session_state.setdefault(_KEPT, {})


def _asked(name: str) -> list[str]:
    """What an earlier page of this session or the URL says."""
    return _kept().get(name) or st.query_params.get_all(name)


def _remember(name: str, values: list[str], is_default: bool) -> None:
    _kept()[name] = [] if is_default else values
    if not is_default and values:
        if st.query_params.get_all(name) != values:
            st.query_params[name] = values
    elif name in st.query_params:
        del st.query_params[name]
