"""Pictures side by side: their own numbers, and a detail that no decoder had a say in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.analysis import paper
from bench.analysis.paper.figures.frames import busiest, numbers, psnr, read_picture
from bench.records import write_frames


@pytest.fixture
def folder(tmp_path):
    source = np.full((40, 64, 3), 128, np.uint8)
    source[20:30, 50:60] = np.random.default_rng(0).integers(0, 255, (10, 10, 3))
    clip = tmp_path / "frames" / "bikes"
    clip.mkdir(parents=True)
    np.save(clip / "source.npy", source)
    np.save(clip / "teacher.npy", source.astype(np.float32) / 127.5 - 1)
    np.save(clip / "a $_x$.npy", source + 1)
    return tmp_path / "frames"


def test_rows_in_order_with_psnr_of_the_very_pixels(material, folder):
    frame = numbers(dataclasses.replace(material, frames=folder))
    assert list(frame["name"]) == ["source", "teacher", "a $_x$"]
    assert list(frame["psnr_source"][:2]) == [100.0, 100.0]
    assert frame["psnr_source"][2] == pytest.approx(20 * np.log10(255), abs=0.01)
    top, left, side = frame[["top", "left", "side"]].iloc[2]
    assert side == 10
    assert abs(top - 20) <= 2
    assert abs(left - 50) <= 2


def test_stored_pictures_are_the_middle_frames_under_the_labels_of_their_runs(material, tmp_path):
    runs = material.results.runs[material.results.runs["study"] == "quickstart"]
    for place, run_id in enumerate(runs["run_id"][:2]):
        for who, grey in (("source", 100), ("teacher", 101), ("student", 102 + place)):
            frames = np.stack([np.full((16, 16, 3), grey + 10 * frame, np.uint8) for frame in range(3)])
            write_frames(tmp_path, run_id, "bikes", who, frames)
    frame = numbers(dataclasses.replace(material, folders=(str(tmp_path),)))
    assert list(frame["name"]) == ["source", "teacher", *runs["label"][:2].sort_values()]
    assert set(frame["clip"]) == {"bikes"}
    assert read_picture(Path(frame["file"].iloc[0])).max() == 110
    other = dataclasses.replace(material, folders=(str(tmp_path),), study="another")
    assert numbers(other).empty


def test_psnr_of_one_step():
    assert psnr(np.zeros((2, 2, 3)), np.ones((2, 2, 3))) == pytest.approx(48.13, abs=0.01)


def test_the_busiest_square_stays_inside():
    top, left, side = busiest(np.zeros((9, 9, 3), np.uint8))
    assert top + side <= 9
    assert left + side <= 9


def test_it_is_drawn(material, folder, tmp_path):
    figure = paper.find_figure("frames")
    paths = paper.write("frames", figure, numbers(dataclasses.replace(material, frames=folder)), tmp_path)
    assert all(path.stat().st_size for path in paths)


@pytest.mark.parametrize("broken", ["no folder", "no source", "size", "shape"])
def test_what_is_wrong_is_said_by_name(material, folder, broken):
    where = folder
    if broken == "no folder":
        where = folder / "nothing"
    elif broken == "no source":
        (folder / "bikes" / "source.npy").unlink()
    elif broken == "size":
        np.save(folder / "bikes" / "b.npy", np.zeros((4, 4, 3), np.uint8))
    else:
        np.save(folder / "bikes" / "b.npy", np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"nothing|source\.png|the source|height x width x 3"):
        numbers(dataclasses.replace(material, frames=where))


def test_png_and_npy_are_read_alike(folder):
    from PIL import Image

    pixels = read_picture(folder / "bikes" / "source.npy")
    Image.fromarray(pixels).save(folder / "bikes" / "source.png")
    np.testing.assert_array_equal(read_picture(folder / "bikes" / "source.png"), pixels)
