"""Latents of crops: as many as asked for, those of the teacher, and none made twice."""

from __future__ import annotations

import pytest

from bench.__main__ import main
from bench.data import CropSampler, open_clips
from flash_vaed import load_teacher, read_latents


def test_a_folder_of_latents_that_are_the_teachers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["latents", "out=z", "count=3", "frames=5", "size=32"]
    assert main(command) == 0
    files = sorted((tmp_path / "z").iterdir())
    assert [file.name for file in files] == [f"0-00000{number}.safetensors" for number in range(3)]
    crop = CropSampler(open_clips("bundled", None, "train"), 5, 32, 1, 0).crop(1)
    expected = load_teacher("bundled").encode(crop[None])
    assert (read_latents(files[1]) - expected).abs().max() < 1e-5
    before = [file.stat().st_mtime_ns for file in files]
    assert main(command) == 0
    assert [file.stat().st_mtime_ns for file in files] == before
    assert "3 latents of 5 x 32 x 32 in z" in capsys.readouterr().out


@pytest.mark.parametrize("override", ["frames=6", "size=30", "cuont=3", "data=folder"])
def test_what_cannot_be_meant_is_one_line(override, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["latents", override]) == 2
    assert capsys.readouterr().err.count("\n") == 1
