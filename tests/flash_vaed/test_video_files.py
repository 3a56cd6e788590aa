"""A video is read right or refused with a reason, and a written one is whole or not there."""

from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from flash_vaed import video_files
from flash_vaed.video_files import read_video, to_float, to_uint8, video_writer
from tests.flash_vaed.shared import shared

COLOURS = [(1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, 1), (-1, -1, -1), (0.3, -0.2, 0.1)]


def bars(frames: int = 5) -> torch.Tensor:
    """(3, T, 32, 96): six saturated bars."""
    return torch.tensor(COLOURS).T[:, None, None, :, None].expand(3, frames, 32, 6, 16).reshape(3, frames, 32, 96)


def write(path, x_CTHW=None, fps=Fraction(30000, 1001)) -> None:
    x_CTHW = bars() if x_CTHW is None else x_CTHW
    with video_writer(path, fps, *x_CTHW.shape[2:]) as video:
        video.write(x_CTHW)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_colours_frames_and_rate_come_back(tmp_path, suffix):
    write(tmp_path / f"v{suffix}")
    video = read_video(tmp_path / f"v{suffix}")
    assert video.fps == Fraction(30000, 1001)
    assert video.frames_THWC.shape == (5, 32, 96, 3)
    difference = video.frames_THWC.movedim(-1, 0).int() - to_uint8(bars()).int()
    assert difference[..., 8::16].abs().max() <= 3  # in the middle of a bar; a wrong colour matrix is off by 20


def test_bytes_and_floats_are_inverse():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(every)), every)


def test_only_the_first_frames_are_read_when_asked_and_never_fewer(tmp_path):
    write(tmp_path / "v.mp4")
    assert len(read_video(tmp_path / "v.mp4", 2).frames_THWC) == 2
    with pytest.raises(ValueError, match="only 5 frames, not 6"):
        read_video(tmp_path / "v.mp4", 6)


@pytest.mark.faults
def test_names_with_a_dash_or_a_colon_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-v.mp4", "http:v.mp4"):
        write(name)
        assert len(read_video(name).frames_THWC) == 5


def test_odd_sides_and_unknown_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="even sides"), video_writer(tmp_path / "v.mp4", Fraction(16), 31, 32):
        pass
    with pytest.raises(ValueError, match=r"\.mp4"), video_writer(tmp_path / "v.gif", Fraction(16), 32, 32):
        pass
    with pytest.raises(ValueError, match="no folder"), video_writer(tmp_path / "n" / "v.mp4", Fraction(16), 32, 32):
        pass


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_video_leaves_the_old_one_alone(tmp_path, error):
    write(tmp_path / "v.mp4")
    old = (tmp_path / "v.mp4").read_bytes()

    def interrupted() -> None:
        with video_writer(tmp_path / "v.mp4", Fraction(16), 32, 96) as video:
            video.write(bars())
            raise error

    with pytest.raises(error):
        interrupted()
    assert os.listdir(tmp_path) == ["v.mp4"]
    assert (tmp_path / "v.mp4").read_bytes() == old


def audio_only(path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.faults
def test_what_is_no_video_is_one_sentence(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/v.ts\n#EXT-X-ENDLIST\n")
    audio_only(tmp_path / "audio.mp4")
    write(tmp_path / "cut.mp4", torch.rand(3, 40, 64, 64) * 2 - 1)
    whole = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("empty.mp4", "text.mp4", "list.mp4", "audio.mp4", "cut.mp4", "missing.mp4", "."):
        with pytest.raises(ValueError, match=r"no video|cannot be read|fails to decode|damaged") as caught:
            read_video(tmp_path / name)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.faults
def test_frames_of_absurd_size_and_number_are_refused(tmp_path, monkeypatch):
    write(tmp_path / "v.mkv")
    monkeypatch.setattr(video_files, "MAX_BYTES", 4 * 32 * 96 * 3)
    assert len(read_video(tmp_path / "v.mkv", 4).frames_THWC) == 4
    with pytest.raises(ValueError, match="more than 36864 bytes of frames"):
        read_video(tmp_path / "v.mkv")
    monkeypatch.setattr(video_files, "MAX_PIXELS", 32 * 96 - 1)
    with pytest.raises(ValueError, match="has frames of 96x32, more than the 3071 pixels"):
        read_video(tmp_path / "v.mkv", 4)


@pytest.mark.faults
def test_damage_in_mid_stream_is_an_error_and_not_a_shorter_clip(tmp_path):
    write(tmp_path / "v.mkv", torch.rand(3, 40, 64, 64) * 2 - 1)
    data = bytearray((tmp_path / "v.mkv").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    (tmp_path / "v.mkv").write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged|fails to decode"):
        read_video(tmp_path / "v.mkv")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "says"),
    [("decord_corrupted.mp4", "after 28 good frames"), ("decord_rot90.mov", "rotated by -90")],
)
def test_real_damaged_and_rotated_files_are_refused(name, says):
    with pytest.raises(ValueError, match=says):
        read_video(shared(f"fault_inputs/{name}"))


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("-video-with-dash-.mp4", (5, 1, 1, 3)),
        ("h264_10bits.mp4", (30, 200, 200, 3)),
        ("hmdb51_Pippi_cartwheel.avi", (83, 240, 320, 3)),
        ("hmdb51_RATRACE_wave.avi", (72, 240, 560, 3)),
        ("torchcodec_h265.mp4", (10, 128, 128, 3)),
    ],
)
def test_real_odd_files_give_the_frames_they_hold(name, shape):
    assert read_video(shared(f"fault_inputs/{name}")).frames_THWC.shape == shape


def test_a_file_without_a_duration_is_read_to_its_end():
    assert len(read_video(shared("fault_inputs/moviepy_no_duration.webm")).frames_THWC) == 74
