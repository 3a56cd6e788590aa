"""A file holds the decoded frames, appears whole or not at all, and its length costs no memory."""

from __future__ import annotations

import os

import pytest
import torch
import torch.nn.functional as F

from flash_vaed.decoding import decode_stream, decode_to_video
from flash_vaed.decoding.memory import LiveBytes
from flash_vaed.families.wan import wan_spec
from tests.flash_vaed.decoding.test_tiles import SPECS
from tests.flash_vaed.examples import FOUR_CHANNELS, psnr, random_decoder, random_latents

av = pytest.importorskip("av")


def frames_of(path) -> tuple[torch.Tensor, float]:
    """(1, 3, T, H, W) in [-1, 1] and frames per second."""
    with av.open(str(path)) as container:
        pictures = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        rate = float(container.streams.video[0].average_rate)
    return torch.stack(pictures).permute(3, 0, 1, 2)[None] / 127.5 - 1, rate


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_a_file_holds_the_decoded_frames(name, tmp_path):
    decoder, z_NCthw = random_decoder(SPECS[name]), random_latents(4, 12, 16)
    path = tmp_path / "clip.mp4"
    count = decode_to_video(decoder, z_NCthw, path, fps=12.5)
    frames, rate = frames_of(path)
    expected = decoder.decode(z_NCthw)
    assert frames.shape == expected.shape
    assert (count, rate) == (expected.shape[2], 12.5)
    coarse, expected = (F.avg_pool3d(x, (1, 4, 4)) for x in (frames, expected))  # a file has half the colour resolution
    assert psnr(coarse, expected) > 25
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_pieces_and_tiles_write_the_same_file(tmp_path):
    decoder, z_NCthw = random_decoder(SPECS["wan"]), random_latents(5, 8, 12)
    decode_to_video(decoder, z_NCthw, tmp_path / "a.mp4", 24)
    decode_to_video(decoder, iter(z_NCthw.split([2, 1, 2], dim=2)), tmp_path / "b.mp4", 24, chunk=2, tile=4)
    one, other = (frames_of(tmp_path / name)[0] for name in ("a.mp4", "b.mp4"))
    assert psnr(one, other) > 40


def test_a_stream_yields_frames_as_soon_as_they_are_known(teacher):
    z_NCthw = random_latents(4)
    frames = list(decode_stream(teacher, z_NCthw.split(1, dim=2)))
    assert [x.shape[2] for x in frames] == [1, 4, 4, 4]
    torch.testing.assert_close(torch.cat(frames, dim=2), teacher.decode(z_NCthw), atol=1e-5, rtol=0)
    assert list(decode_stream(teacher, [])) == []


def test_a_stream_that_looks_ahead_gives_all_frames():
    decoder, z_NCthw = random_decoder(SPECS["ltx"]), random_latents(6, 3, 3)
    frames = list(decode_stream(decoder, z_NCthw.split(2, dim=2), chunk=1))
    assert all(x.shape[2] for x in frames)
    torch.testing.assert_close(torch.cat(frames, dim=2), decoder.decode(z_NCthw), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_memory_does_not_grow_with_the_length(name, tmp_path):
    """Live tensors at their peak, latents included: they are made when they are asked for."""
    decoder = random_decoder(SPECS[name])
    peaks = []
    for latents in (12, 36):
        with LiveBytes() as live:
            pieces = (random_latents(1, 4, 4, seed=i) for i in range(latents))
            decode_to_video(decoder, pieces, tmp_path / "long.mp4", 24)
        peaks.append(live.peak_bytes)
    assert peaks[0] == peaks[1]


def test_a_failed_decode_leaves_nothing_behind(tmp_path):
    def broken():
        yield random_latents(1, 4, 4)
        yield random_latents(1, 4, 4)
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        decode_to_video(random_decoder(SPECS["wan"]), broken(), tmp_path / "clip.mp4", 24)
    assert os.listdir(tmp_path) == []


BAD = {
    "a batch": ({"z_NCthw": random_latents(2, n=2)}, "holds one clip, not a batch of 2"),
    "no latents": ({"z_NCthw": []}, "at least one latent"),
    "another ending": ({"name": "clip.avi"}, "written as .mp4, .mkv, .mov, not 'clip.avi'"),
    "no folder": ({"name": "no/clip.mp4"}, "no folder"),
    "a rate": ({"fps": 0}, "fps is a positive number"),
    "another space": ({"z_NCthw": random_latents(2, channels=3)}, "expected test latents"),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_written_is_refused(changed, message, teacher, tmp_path):
    arguments = {"z_NCthw": random_latents(2), "fps": 24, **changed}
    name = arguments.pop("name", "clip.mp4")
    with pytest.raises(ValueError, match=message):
        decode_to_video(teacher, path=tmp_path / name, **arguments)
    assert os.listdir(tmp_path) == []


def test_odd_sides_are_refused_before_anything_is_decoded(tmp_path):
    decoder = random_decoder(wan_spec(4, (1,), 1, (), FOUR_CHANNELS))
    with pytest.raises(ValueError, match="video files need even sides, not 5x7"):
        decode_to_video(decoder, random_latents(2, 5, 7), tmp_path / "odd.mp4", 24)
    assert os.listdir(tmp_path) == []
