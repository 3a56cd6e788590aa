"""`encode` and `reconstruct`: the encoder's latents, the decoder's frames, and no trim without a line."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from flash_vaed import load_decoder, load_teacher, read_latents, save_decoder
from flash_vaed.__main__ import main
from flash_vaed.video_files import read_video, to_float
from tests.flash_vaed.examples import psnr, random_decoder, tiny_spec
from tests.flash_vaed.shared import shared


def clip(folder) -> torch.Tensor:
    """What the grid leaves of v.mp4: 9 of 11 frames, the middle 16x24 of 20x28."""
    return to_float(read_video(folder / "v.mp4").frames_THWC.movedim(-1, 0))[None, :, :9, 2:18, 2:26].contiguous()


@pytest.mark.parametrize("name", ["z.safetensors", "z.npy", "z.pt"])
def test_latents_are_the_encoders_and_every_trim_is_a_line(folder, tmp_path, name, capsys):
    argv = ["encode", str(folder / "v.mp4"), str(tmp_path / name), "--teacher", str(folder / "teacher")]
    assert main(argv) == 0
    said = capsys.readouterr()
    assert "11 frames trimmed to the first 9" in said.err
    assert "20x28 cut to 16x24" in said.err
    teacher = load_teacher(folder / "teacher")
    assert torch.allclose(read_latents(tmp_path / name), teacher.encode(clip(folder)), atol=1e-5)
    assert "raw test latents (1, 4, 3, 2, 3)" in said.out
    assert main([*argv, "--normalize"]) == 0
    normalized = teacher.decoder.latents.normalize(teacher.encode(clip(folder)))
    assert torch.allclose(read_latents(tmp_path / name), normalized, atol=1e-5)


def test_a_clip_that_fits_the_grid_is_encoded_without_a_word(folder, tmp_path, capsys):
    argv = ["encode", str(folder / "v.mp4"), str(tmp_path / "z.pt"), "--teacher", str(folder / "teacher")]
    assert main([*argv, "--frames", "5", "--size", "32", "48"]) == 0
    assert capsys.readouterr().err == ""
    assert read_latents(tmp_path / "z.pt").shape == (1, 4, 2, 4, 6)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--frames", "12"], "only 11 frames"),
        (["--size", "20", "28"], "sides divisible by 8"),
        (["--size", "0", "8"], "--size"),
    ],
)
def test_what_the_clip_cannot_give_is_refused(folder, tmp_path, options, says, capsys):
    argv = ["encode", str(folder / "v.mp4"), str(tmp_path / "z.pt"), "--teacher", str(folder / "teacher")]
    assert main([*argv, *options]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chunk", ["1", "2"])
def test_reconstruct_gives_the_teachers_frames_and_their_psnr(folder, tmp_path, chunk, capsys):
    argv = ["reconstruct", str(folder / "v.mp4"), str(tmp_path / "x.npy"), "--teacher", str(folder / "teacher")]
    assert main([*argv, "--chunk", chunk]) == 0
    teacher, x = load_teacher(folder / "teacher"), clip(folder)
    expected = teacher.decoder.decode(teacher.encode(x))
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "x.npy")), expected, atol=1e-4, rtol=0)
    said = re.search(r"PSNR (-?[\d.]+) dB", capsys.readouterr().out)
    assert said is not None
    assert float(said[1]) == pytest.approx(psnr(expected, x), abs=0.02)


def test_reconstruct_with_a_student_at_the_videos_own_rate(folder, tmp_path):
    student = random_decoder(tiny_spec(4, blocks=1), seed=7)
    save_decoder(student, tmp_path / "student")
    for name in ("x.mp4", "x.npy"):
        argv = ["reconstruct", str(folder / "v.mp4"), str(tmp_path / name), "--teacher", str(folder / "teacher")]
        assert main([*argv, "--decoder", str(tmp_path / "student")]) == 0
    expected = student.decode(load_teacher(folder / "teacher").encode(clip(folder)))
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "x.npy")), expected, atol=1e-4, rtol=0)
    video = read_video(tmp_path / "x.mp4")
    assert (video.frames_THWC.shape, video.fps) == ((9, 16, 24, 3), 25)


def test_a_decoder_of_other_latents_is_refused(folder, tmp_path, capsys):
    argv = ["reconstruct", str(folder / "v.mp4"), str(tmp_path / "x.mp4"), "--teacher", str(folder / "teacher")]
    assert main([*argv, "--decoder", "bundled"]) == 2
    assert "the teacher writes test latents, the decoder reads bundled ones" in capsys.readouterr().err


def test_a_decoder_alone_is_no_teacher(folder, tmp_path, capsys):
    save_decoder(load_decoder(folder / "teacher"), tmp_path / "d")
    argv = ["encode", str(folder / "v.mp4"), str(tmp_path / "z.pt"), "--teacher", str(tmp_path / "d")]
    assert main(argv) == 2
    assert "without an encoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("decord_corrupted.mp4", "after 28 good frames"),
        ("decord_rot90.mov", "rotated"),
        ("-video-with-dash-.mp4", "1x1, smaller than the 8x8 pixels"),
    ],
)
def test_real_faults_are_one_line_and_leave_nothing(folder, tmp_path, name, says, monkeypatch, capsys):
    monkeypatch.chdir(shared(f"fault_inputs/{name}").parent)
    assert main(["encode", name, str(tmp_path / "z.pt"), "--teacher", str(folder / "teacher")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
