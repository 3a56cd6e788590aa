"""VBench-2.0: the score of every dimension, decoder by decoder, on one wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.analysis import vbench2
from bench.analysis.paper import latex, style
from bench.analysis.paper.base import Material, PaperFigure
from bench.analysis.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("vbench2",)
LINES = ("-", "--", ":", "-.")


def numbers(material: Material) -> pd.DataFrame:
    """One row per decoder and dimension: `score` in [0, 1], the mean over the videos judged, and how many those are."""
    return scores(material.of(STUDIES))


def scores(results: Results) -> pd.DataFrame:
    """Columns arm, dimension, score, videos; of the newest run that holds scores."""
    runs = results.of(results.finished(vbench2.TASK)).runs.sort_values("started_at")
    if runs.empty:
        return pd.DataFrame(columns=["arm", "dimension", "score", "videos"])
    found = vbench2.of_run(results, runs["run_id"].iloc[-1])
    found = found[(found["level"] == "dimension") & found["score"].notna()]
    found = found.assign(dimension=found["name"].str.replace("_", " "), videos=found["videos"] - found["invalid"])
    return found[["arm", "dimension", "score", "videos"]].reset_index(drop=True)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per dimension, one column per decoder."""
    return frame.pivot_table(index="dimension", columns="arm", values="score", sort=False).reset_index()


def cells(rows: pd.DataFrame) -> tuple[latex.Cell, ...]:
    """The dimension, then every decoder's score in percent."""
    arms = [name for name in rows if name != "dimension"]
    return (latex.text("dimension", "dimension"), *(latex.fixed(arm, style.plain(arm, 24), 1, 100) for arm in arms))


def draw(frame: pd.DataFrame, width: float) -> Figure:
    wide = frame.pivot_table(index="dimension", columns="arm", values="score", sort=False)
    angles = np.linspace(0, 2 * np.pi, len(wide), endpoint=False)
    figure, axes = style.sheet(width, 1.05 * width, subplot_kw={"projection": "polar"})
    ax = axes[0, 0]
    for place, arm in enumerate(wide.columns):
        values = 100 * wide[arm].to_numpy(dtype=float)
        colour = style.decoder_colour(str(arm))
        ax.plot(
            [*angles, angles[0]], [*values, values[0]], LINES[place % len(LINES)], color=colour, label=style.plain(arm)
        )
        ax.plot(angles, values, ".", color=colour, markersize=3)
    ax.set_theta_offset(np.pi / 2)
    ax.set_theta_direction(-1)
    ax.set_xticks(angles, [""] * len(angles))
    for angle, name in zip(angles, wide.index, strict=True):
        across, up = np.sin(angle), np.cos(angle)  # clockwise from the top
        ax.text(
            angle, 106, _wrapped(style.plain(name)), fontsize=5.5,
            ha="center" if abs(across) < 0.2 else "left" if across > 0 else "right",
            va="center" if abs(up) < 0.9 else "bottom" if up > 0 else "top",
        )  # fmt: skip
    ax.set_ylim(0, 100)
    ax.set_yticks([25, 50, 75, 100], ["25 %", "50 %", "75 %", ""], fontsize=5.5, color=style.GREY)
    ax.set_rlabel_position(180 / len(angles))  # between the first two spokes
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _wrapped(name: str) -> str:
    """A long name on two lines, broken at the space nearest its middle."""
    spaces = [i for i, letter in enumerate(name) if letter == " "]
    if len(name) < 14 or not spaces:
        return name
    middle = min(spaces, key=lambda i: abs(i - len(name) / 2))
    return f"{name[:middle]}\n{name[middle + 1 :]}"


FIGURE = PaperFigure(
    title="VBench-2.0 in percent, decoder by decoder. Single dimensions are noisy.",
    studies=STUDIES, numbers=numbers, draw=draw, table=table,
    cells=cells,
    missing="no stored scores; python -m bench vbench2 makes them",
)  # fmt: skip
