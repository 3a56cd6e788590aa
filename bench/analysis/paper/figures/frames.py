"""The same frame from every decoder, side by side, with one detail enlarged.

Pictures come from those stored beside the results (`pictures=N` on a run's command): of every clip the middle frame,
the students under their runs' labels. Or from a folder, `--frames DIR`: `DIR/<clip>/<name>.png` (or `.npy`: uint8, or
float in [-1, 1], height x width x 3). `source` and `teacher` come first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.analysis.paper import latex, style
from bench.analysis.paper.base import WIDE, Material, PaperFigure
from bench.records import stored_clips, stored_frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST = ("source", "teacher")
DETAIL = 4  # the detail's side is this part of the frame's shorter side
DECIBEL_CAP = 100.0
COLUMNS = ["clip", "name", "height", "width", "psnr_source", "top", "left", "side", "file"]


def numbers(material: Material) -> pd.DataFrame:
    """One row per picture: its size, the PSNR of these very pixels against `source` in dB (8 bit; identical ones count
    as 100), and the detail that is enlarged, the same for all pictures of a clip.

    `ValueError` for a folder that does not exist, a clip without `source`, pictures of different sizes.
    """
    clips = _stored(material) if material.frames is None else _given(material.frames)
    found = [row for clip, files in sorted(clips.items()) for row in _of_clip(clip, files)]
    return pd.DataFrame(found, columns=COLUMNS)


def _given(folder: Path) -> dict[str, dict[str, Path]]:
    """Files by clip and name of a folder DIR/CLIP/NAME.png."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of pictures DIR/CLIP/NAME.png")
    return {
        clip.name: {path.stem: path for path in sorted(clip.iterdir()) if path.suffix in (".png", ".npy")}
        for clip in folder.iterdir()
        if clip.is_dir()
    }


def _stored(material: Material) -> dict[str, dict[str, Path]]:
    """Middle frames by clip and name, of the runs of the chosen study, or of all, that have pictures."""
    clips: dict[str, dict[str, Path]] = {}
    runs = material.results.runs
    runs = runs[runs["study"] == material.study] if material.study else runs
    for folder in material.folders:
        for run_id, label in zip(runs["run_id"], runs["label"], strict=True):
            for clip in stored_clips(folder, run_id):
                for who, paths in stored_frames(folder, run_id, clip).items():
                    name = str(label) if who == "student" else who
                    clips.setdefault(clip, {}).setdefault(name, paths[len(paths) // 2])
    return clips


def _of_clip(clip: str, files: dict[str, Path]) -> list[dict]:
    if "source" not in files:
        raise ValueError(f"clip {clip} has no source.png to compare with")
    source = read_picture(files["source"])
    top, left, side = busiest(source)
    rows = []
    for name in sorted(files, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)):
        picture = read_picture(files[name])
        if picture.shape != source.shape:
            raise ValueError(f"{files[name]} is {picture.shape[:2]}, the source {source.shape[:2]}")
        rows.append({
            "clip": clip, "name": name, "height": picture.shape[0], "width": picture.shape[1],
            "psnr_source": psnr(source, picture), "top": top, "left": left, "side": side, "file": str(files[name]),
        })  # fmt: skip
    return rows


def read_picture(path: Path) -> np.ndarray:
    """Pixels as uint8, shape (height, width, 3)."""
    if path.suffix == ".npy":
        pixels = np.load(path)
        if pixels.dtype != np.uint8:
            pixels = np.round((np.clip(pixels.astype(float), -1, 1) + 1) * 127.5).astype(np.uint8)
    else:
        from PIL import Image

        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"{path} must be height x width x 3, not {pixels.shape}")
    return pixels


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures in dB, at most 100."""
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(min(DECIBEL_CAP, 10 * np.log10(255.0**2 / error))) if error > 0 else DECIBEL_CAP


def busiest(picture: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side of the square with the most fine detail (squared Laplacian of luma) in the source: chosen
    without a look at any decoder.
    """
    luma = picture.astype(float) @ np.array([0.299, 0.587, 0.114])
    side = max(2, min(luma.shape) // DETAIL)
    energy = np.zeros_like(luma)
    inner = luma[1:-1, :-2] + luma[1:-1, 2:] + luma[:-2, 1:-1] + luma[2:, 1:-1] - 4 * luma[1:-1, 1:-1]
    energy[1:-1, 1:-1] = inner**2
    sums = np.pad(energy.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    windows = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(top), int(left), side


def draw(frame: pd.DataFrame, width: float) -> Figure:
    """Two rows per clip: whole frames with the detail's outline, and the detail without interpolation."""
    clips = list(frame.groupby("clip"))
    across = frame.groupby("clip").size().max()
    shape = frame["height"].iloc[0] / frame["width"].iloc[0]
    height = width / across * (shape + 1) + 0.35
    figure, axes = style.sheet(
        width, height * len(clips), 2 * len(clips), across, height_ratios=[shape, 1.0] * len(clips)
    )
    for ax in axes.flat:
        ax.axis("off")
    for place, (clip, rows) in enumerate(clips):
        for column, row in enumerate(rows.to_dict("records")):
            whole, detail = axes[2 * place, column], axes[2 * place + 1, column]
            pixels = read_picture(Path(row["file"]))
            top, left, side = row["top"], row["left"], row["side"]
            whole.imshow(pixels, interpolation="none")
            whole.plot(
                [left, left + side, left + side, left, left], [top, top, top + side, top + side, top], color="white",
                linewidth=0.8,
            )  # fmt: skip
            detail.imshow(pixels[top : top + side, left : left + side], interpolation="none")
            words = style.plain(clip, 20) if row["name"] == "source" else f"{row['psnr_source']:.2f} dB"
            whole.set_title(f"{style.plain(row['name'], 20)}\n{words}", fontsize=6)
    return figure


FIGURE = PaperFigure(
    title="One frame of every clip, and its most detailed square. PSNR of the pictures shown against the source.",
    studies=(), numbers=numbers, draw=draw, width=WIDE, blocks="clip",
    cells=(latex.text("name", "decoder"), latex.fixed("psnr_source", "PSNR of this frame (dB)", 2)),
    missing="no stored run has pictures; pictures=1 on a run's command stores them, or give --frames DIR",
)  # fmt: skip
