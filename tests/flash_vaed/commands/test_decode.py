"""`decode` gives the decoder's frames, in any chunks, and says what looks wrong about the latents."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from flash_vaed import load_decoder, read_latents, save_decoder, save_latents
from flash_vaed.__main__ import main
from flash_vaed.commands import _decoders
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import WAN21_LATENTS, wan_spec
from flash_vaed.video_files import read_video, to_uint8
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents, tiny_spec


def decode(folder, out, *options, latents="z.safetensors") -> int:
    return main(["decode", str(folder / latents), str(out), "--decoder", str(folder / "teacher"), *options])


@pytest.mark.parametrize("chunk", ["1", "2", "9"])
@pytest.mark.parametrize("name", ["x.npy", "x.pt"])
def test_frames_are_the_decoders(folder, tmp_path, name, chunk):
    assert decode(folder, tmp_path / name, "--chunk", chunk) == 0
    x = torch.from_numpy(np.load(tmp_path / name)) if name == "x.npy" else torch.load(tmp_path / name)
    expected = load_decoder(folder / "teacher").decode(read_latents(folder / "z.safetensors"))
    torch.testing.assert_close(x, expected, atol=1e-5, rtol=0)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("chunk", ["1", "3", "8"])
def test_a_decoder_that_looks_ahead_gives_its_last_frames_too(tmp_path, chunk):
    decoder = random_decoder(ltx_spec((8, 8), (1, 1, 1), (False, True), patch=2, latents=FOUR_CHANNELS))
    save_decoder(decoder, tmp_path / "ltx")
    save_latents(random_latents(6), tmp_path / "z.npy")
    argv = ["decode", str(tmp_path / "z.npy"), str(tmp_path / "x.npy"), "--decoder", str(tmp_path / "ltx")]
    assert main([*argv, "--chunk", chunk]) == 0
    x = torch.from_numpy(np.load(tmp_path / "x.npy"))
    torch.testing.assert_close(x, decoder.decode(random_latents(6)), atol=1e-5, rtol=0)


def test_the_video_has_every_frame_at_the_rate_asked_for(folder, tmp_path, capsys):
    assert decode(folder, tmp_path / "x.mp4", "--fps", "29.97") == 0
    video = read_video(tmp_path / "x.mp4")
    assert (video.frames_THWC.shape, float(video.fps)) == ((17, 16, 24, 3), pytest.approx(29.97))
    assert "17 frames of 16x24" in capsys.readouterr().out


def test_normalized_latents_are_brought_to_raw_ones(folder, tmp_path):
    decoder, z = load_decoder(folder / "teacher"), read_latents(folder / "z.safetensors")
    save_latents(decoder.latents.normalize(z), tmp_path / "n.pt")
    argv = ["decode", str(tmp_path / "n.pt"), str(tmp_path / "x.npy"), "--decoder", str(folder / "teacher")]
    assert main([*argv, "--latents", "normalized"]) == 0
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "x.npy")), decoder.decode(z), atol=1e-4, rtol=0)


def test_two_clips_go_into_an_array_but_not_into_a_video(folder, tmp_path, capsys):
    save_latents(random_latents(2, n=2), tmp_path / "z.pt")
    argv = ["--decoder", str(folder / "teacher")]
    assert main(["decode", str(tmp_path / "z.pt"), str(tmp_path / "x.mp4"), *argv]) == 2
    assert "2 clips" in capsys.readouterr().err
    assert main(["decode", str(tmp_path / "z.pt"), str(tmp_path / "x.npy"), *argv]) == 0
    assert np.load(tmp_path / "x.npy").shape == (2, 3, 5, 16, 16)


def test_latents_that_look_normalized_are_decoded_with_a_warning(tmp_path, capsys):
    spec = wan_spec(4, blocks_per_stage=1)
    assert spec.latents == WAN21_LATENTS
    save_decoder(random_decoder(spec), tmp_path / "d")
    save_latents(random_latents(3, 14, 14, channels=16), tmp_path / "z.pt")
    argv = ["decode", str(tmp_path / "z.pt"), str(tmp_path / "x.npy"), "--decoder", str(tmp_path / "d")]
    assert main(argv) == 0
    said = capsys.readouterr().err
    assert said.startswith("warning: latents given as raw wan2.1 latents look normalized")
    assert said.count("\n") == 1
    assert main([*argv, "--latents", "normalized"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["x.npy", "x.pt", "x.mp4"])
def test_frames_that_are_not_finite_are_refused_and_leave_nothing(folder, tmp_path, name, capsys):
    decoder = random_decoder(tiny_spec(4, blocks=1))
    decoder.head.conv.bias.fill_(float("nan"))
    save_decoder(decoder, tmp_path / "broken")
    (tmp_path / "out").mkdir()
    argv = ["decode", str(folder / "z.safetensors"), str(tmp_path / "out" / name), "--decoder"]
    assert main([*argv, str(tmp_path / "broken")]) == 2
    assert "NaN in float32" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == []


def test_a_spec_runs_with_random_weights_and_says_so(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(_decoders.SPECS, "tiny", tiny_spec(4, blocks=1))
    frames = []
    for seed in ("1", "1", "2"):
        argv = ["decode", str(folder / "z.safetensors"), str(tmp_path / "x.npy"), "--decoder", "tiny"]
        assert main([*argv, "--random-weights", seed]) == 0
        assert f"tiny has random weights (seed {seed})" in capsys.readouterr().err
        frames.append(np.load(tmp_path / "x.npy"))
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])
    assert main(argv) == 2
    assert "without weights" in capsys.readouterr().err
    assert main([*argv[:-1], str(folder / "teacher"), "--random-weights", "1"]) == 2
    assert "takes a built-in spec" in capsys.readouterr().err


def test_half_precision_is_close(folder, tmp_path):
    assert decode(folder, tmp_path / "x.npy", "--dtype", "bfloat16") == 0
    expected = load_decoder(folder / "teacher").decode(read_latents(folder / "z.safetensors"))
    x = torch.from_numpy(np.load(tmp_path / "x.npy"))
    assert 0 < (to_uint8(x).int() - to_uint8(expected).int()).float().abs().mean() < 8


def test_tiles_give_the_decoders_frames(folder, tmp_path):
    assert decode(folder, tmp_path / "x.npy", "--tile", "1") == 0
    expected = load_decoder(folder / "teacher").decode(read_latents(folder / "z.safetensors"))
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "x.npy")), expected, atol=1e-4, rtol=0)


def test_a_memory_budget_is_planned_for_and_the_plan_told(folder, tmp_path, capsys):
    assert decode(folder, tmp_path / "x.npy", "--memory", "4GB") == 0
    assert "decoding in the whole clip at once, about" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("1kB", "do not decode within 1 MB: the least is"),
        ("much", "much is not a size such as 4GB"),
        ("0GB", "0GB is not"),
    ],
)
def test_a_budget_that_nothing_fits_is_one_line(folder, tmp_path, capsys, size, message):
    assert decode(folder, tmp_path / "x.npy", "--memory", size) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == []
