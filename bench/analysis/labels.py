"""Where labels go beside points so that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CHARACTER, LINE, MARK = 6.4, 13.0, 8.0  # width and height of a label's letter, half a marker, in pixels
PLACES = {  # plotly's name: (where the box is across, and down), in boxes from the point
    "top right": (0.0, -1.0), "bottom right": (0.0, 0.0), "top left": (-1.0, -1.0), "bottom left": (-1.0, 0.0),
    "middle right": (0.0, -0.5), "middle left": (-1.0, -0.5), "top center": (-0.5, -1.0), "bottom center": (-0.5, 0.0),
}  # fmt: skip


def place_labels(
    x: Sequence[float], y: Sequence[float], texts: Sequence[str], others: np.ndarray, size: tuple[float, float]
) -> list[str]:
    """A position of `PLACES` for each text, "" for those that fit nowhere; earlier texts choose first.

    `x`, `y` and `others` (n, 2) are data coordinates, `others` points that carry no label; `size` is the plot's width
    and height in pixels, over the range of all of them.
    """
    points = np.array([*zip(x, y, strict=True), *map(tuple, others)], dtype=float).reshape(-1, 2)
    if not len(points):
        return []
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    unit = (points - low) / np.where(span > 0, span, 1)
    pixels = np.stack([unit[:, 0] * size[0], (1 - unit[:, 1]) * size[1]], axis=1)
    taken = np.concatenate([pixels - MARK / 2, pixels + MARK / 2], axis=1)
    found = []
    for text, at in zip(texts, pixels, strict=False):
        width = CHARACTER * len(text)
        for name, (across, down) in PLACES.items():
            left = at[0] + across * width + np.sign(across + 0.5) * MARK
            top = at[1] + down * LINE + np.sign(down + 0.5) * MARK * (abs(down + 0.5) > 0)
            box = np.array([left, top, left + width, top + LINE])
            inside = box[0] >= -50 and box[2] <= size[0] + 60
            free = (box[2] <= taken[:, 0]) | (taken[:, 2] <= box[0]) | (box[3] <= taken[:, 1]) | (taken[:, 3] <= box[1])
            if inside and free.all():
                taken = np.concatenate([taken, box[None]])
                found.append(name)
                break
        else:
            found.append("")
    return found
