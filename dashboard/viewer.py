"""Frames side by side in one self-contained piece of HTML: slider, synchronous play, error map, zoom.

Pictures go in as data, so nothing is fetched. Text goes in as JSON whose `<`, `>` and `&` are escapes, and is put on
the page as text only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

TEMPLATE = Path(__file__).with_name("viewer.html")
MOST_BYTES = 24_000_000  # of pictures sent to the browser at once
HEIGHT = 620  # of the viewer, pixels
MODES = ("slider", "side by side", "error map")
PNG = b"\x89PNG\r\n\x1a\n"


def show_viewer(
    frames: Mapping[str, Sequence[Path]], frame: int, left: str, right: str, modes: Sequence[str] = MODES
) -> None:
    """Show the clips in `frames` (a name each, equally long) from around `frame`, `left` over `right` at first."""
    first, window = window_of(frames, frame)
    try:
        data = {name: [as_data(path) for path in paths[first : first + window]] for name, paths in frames.items()}
    except (OSError, ValueError) as error:
        st.warning(f"The pictures of this clip cannot be read: {type(error).__name__}.")
        return
    total = min(len(paths) for paths in frames.values())
    if window < total:
        st.caption(f"Frames {first} to {first + window - 1} of {total}: more would be too much for one page.")
    told = {
        "frames": data, "frame": frame, "first": first, "total": total, "left": left, "right": right,
        "modes": list(modes), "dark": st.context.theme.type == "dark",
    }  # fmt: skip
    st.iframe(TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/", as_script(told)), height=HEIGHT)


def window_of(frames: Mapping[str, Sequence[Path]], frame: int, most_bytes: int = MOST_BYTES) -> tuple[int, int]:
    """(first, count) of the frames that may be shown together: all, or those around `frame` that fit `most_bytes`."""
    total = min(len(paths) for paths in frames.values())
    each = sum(paths[0].stat().st_size for paths in frames.values()) * 4 / 3
    count = max(1, min(total, int(most_bytes / max(each, 1))))
    return max(0, min(frame - count // 2, total - count)), count


def as_data(path: Path) -> str:
    """A PNG file as a data URI; `ValueError` for anything else."""
    content = path.read_bytes()
    if not content.startswith(PNG):
        raise ValueError(f"{path.name} is no PNG file")
    return "data:image/png;base64," + base64.b64encode(content).decode()


def as_script(value: object) -> str:
    """`value` as JSON that can stand in a script: no character in it ends the script or starts markup."""
    text = json.dumps(value)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
