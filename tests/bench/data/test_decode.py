"""Every file is decoded right or refused with a reason, whatever is wrong with it, and no caller is left hanging."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from bench.data import decode
from bench.data.decode import DecodeError, decode_video
from tests.bench.data.conftest import moving_ramp


def brightness_T(frames_THWC: np.ndarray) -> np.ndarray:
    return frames_THWC.mean(axis=(1, 2, 3))


def expected_brightness(indices: range) -> np.ndarray:
    """What the `write_video` fixture writes: frame t has mean brightness 40 + 4 t."""
    return np.array([40.0 + 4 * index for index in indices])


def test_frames_come_back_whole_in_order_and_in_rgb(write_video):
    frames = decode_video(write_video("a.mp4", frames=24))
    assert frames.shape == (24, 48, 64, 3)
    assert frames.dtype == np.uint8
    np.testing.assert_allclose(brightness_T(frames), expected_brightness(range(24)), atol=1.5)


@pytest.mark.parametrize(("start", "stop", "stride"), [(0, 5, 1), (3, 20, 4), (7, 8, 1), (2, None, 5)])
def test_a_window_is_the_same_frames_as_the_whole_clip(write_video, start, stop, stride):
    path = write_video("a.mp4", frames=24)
    np.testing.assert_array_equal(decode_video(path, start, stop, stride), decode_video(path)[start:stop:stride])


@pytest.mark.faults
def test_short_clip_gives_what_it_has_and_a_start_past_the_end_is_refused(write_video):
    path = write_video("a.mp4", frames=6)
    assert len(decode_video(path, 2, 30)) == 4
    with pytest.raises(DecodeError, match="only 6 frames; frame 6 was wanted"):
        decode_video(path, 6, 30)


def test_short_side_limits_size_and_keeps_aspect_and_brightness(write_video):
    path = write_video("a.mp4", frames=3, height=96, width=144)
    small = decode_video(path, short_side=32)
    assert small.shape == (3, 32, 48, 3)
    np.testing.assert_allclose(brightness_T(small), expected_brightness(range(3)), atol=1.5)
    assert decode_video(path, short_side=200).shape == (3, 96, 144, 3)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["-leading-dash.mp4", "with: colon.mp4", "späce ünï.mp4", "%03d.mp4", "a?b#c.mp4"])
def test_awkward_names(write_video, name):
    assert len(decode_video(write_video(name, frames=2))) == 2


@pytest.mark.faults
def test_name_that_is_not_utf8(write_video, tmp_path):
    strange = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    os.rename(write_video("a.mp4", frames=2), strange)
    assert len(decode_video(os.fsdecode(strange))) == 2


@pytest.mark.faults
def test_relative_path_with_a_leading_dash(write_video, monkeypatch):
    monkeypatch.chdir(write_video("-x.mp4", frames=2).parent)
    assert len(decode_video("-x.mp4")) == 2


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("container", ["mp4", "mkv", "avi"])
def test_containers_and_codecs(write_video, container, codec):
    assert len(decode_video(write_video(f"a.{container}", frames=7, codec=codec, options={}))) == 7


@pytest.mark.faults
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colour_range_and_bit_depth_are_honoured(tmp_path, pix_fmt, full_range):
    """A colour that is written with either range, at 8 or 10 bits, is the same colour again."""
    dark = np.full((48, 64, 3), (60, 20, 30), np.uint8)
    path = tmp_path / "a.mp4"
    color_range = 2 if full_range else 1
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "1"})
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        video.codec_context.color_range, video.codec_context.colorspace = color_range, 5
        frame = av.VideoFrame.from_ndarray(dark, format="rgb24")
        frame = frame.reformat(format=pix_fmt, dst_colorspace=5, src_color_range=2, dst_color_range=color_range)
        luma = np.asarray(frame.planes[0]).view(np.uint16 if "10" in pix_fmt else np.uint8)[0]
        container.mux(video.encode(frame))
        container.mux(video.encode())
    stored_luma = luma / 4 if "10" in pix_fmt else luma
    assert abs(stored_luma - (33 if full_range else 16 + 33 * 219 / 255)) < 2  # the two files do differ
    np.testing.assert_allclose(decode_video(path)[0].reshape(-1, 3).mean(0), (60, 20, 30), atol=2.5)


def turn_track(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Overwrite a, b, c, d of the mp4 track's display matrix, which maps (x, y) to (a x + c y, b x + d y), y down."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 0x10000 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(content)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("matrix", "bright_corner"),
    [
        ((1, 0, 0, 1), (0, 0)),  # as stored: top left
        ((0, 1, -1, 0), (0, -1)),  # a quarter turn clockwise: top right
        ((-1, 0, 0, -1), (-1, -1)),
        ((0, -1, 1, 0), (-1, 0)),
    ],
)
def test_rotation_is_applied(write_frames, matrix, bright_corner):
    frame_HWC = np.full((48, 64, 3), 20, np.uint8)
    frame_HWC[:24, :32] = 220
    path = write_frames("a.mp4", np.stack([frame_HWC] * 2))
    turn_track(path, matrix)
    upright = decode_video(path)[0]
    assert upright.shape == ((48, 64, 3) if matrix[0] else (64, 48, 3))
    corners = {(row, column): upright[row, column].mean() for row in (0, -1) for column in (0, -1)}
    assert max(corners, key=corners.get) == bright_corner
    assert sum(value > 100 for value in corners.values()) == 1


@pytest.mark.faults
def test_rotation_by_an_odd_angle_is_refused(write_video):
    path = write_video("a.mp4", frames=2)
    turn_track(path, (1, 1, -1, 1))
    with pytest.raises(DecodeError, match=r"rotated by .*45.* only quarter turns"):
        decode_video(path)


@pytest.mark.faults
def test_odd_size(write_video):
    frames = decode_video(write_video("a.mp4", frames=3, height=47, width=61, pix_fmt="yuv444p"))
    assert frames.shape == (3, 47, 61, 3)
    np.testing.assert_allclose(brightness_T(frames), expected_brightness(range(3)), atol=1.5)


@pytest.mark.faults
def test_one_pixel(write_frames):
    white = np.full((2, 1, 1, 3), 255, np.uint8)
    assert (decode_video(write_frames("a.mkv", white, codec="ffv1", pix_fmt="bgr0", options={})) == white).all()


@pytest.mark.faults
def test_frames_of_absurd_size_are_refused(write_frames):
    path = write_frames("a.mp4", np.zeros((1, 6002, 6002, 3), np.uint8), options={"preset": "ultrafast"})
    with pytest.raises(DecodeError, match="has frames of 6002x6002, more than 36000000 pixels"):
        decode_video(path)


@pytest.mark.faults
def test_a_header_that_claims_more_frames_is_not_believed(write_video):
    path = write_video("a.avi", frames=7, codec="mpeg4", options={})
    content = bytearray(path.read_bytes())
    for name, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):  # frames in the whole file, and in the stream
        at = content.index(name) + offset
        assert struct.unpack_from("<I", content, at) == (7,)
        struct.pack_into("<I", content, at, 7000)
    path.write_bytes(content)
    assert len(decode_video(path)) == 7


@pytest.mark.faults
def test_a_file_without_a_duration_is_read_to_its_end(tmp_path):
    with av.open(str(tmp_path / "a.webm"), "w", options={"live": "1"}) as container:
        video = container.add_stream("libvpx-vp9", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for pixels_HWC in moving_ramp(6):
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels_HWC, format="rgb24")))
        container.mux(video.encode())
    with av.open(str(tmp_path / "a.webm")) as container:
        assert container.duration is None
    assert len(decode_video(tmp_path / "a.webm")) == 6


@pytest.mark.faults
def test_a_video_without_frames_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "bgr0"
        container.start_encoding()
    with pytest.raises(DecodeError, match=r"holds no frames|cannot be decoded"):
        decode_video(tmp_path / "a.mkv")


@pytest.mark.faults
@pytest.mark.parametrize("pts", [[0, 1, 7, 8, 30, 31], [0, 40, 41, 42, 43, 100]])
def test_variable_frame_rate_keeps_every_frame_once(write_video, pts):
    frames = decode_video(write_video("a.mkv", frames=6, pts=pts))
    np.testing.assert_allclose(brightness_T(frames), expected_brightness(range(6)), atol=1.5)


@pytest.mark.faults
def test_frames_stored_out_of_order_come_back_in_order(write_video):
    path = write_video("a.mp4", frames=24, options={"bf": "3", "b_strategy": "0"})
    with av.open(str(path)) as container:
        stored = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert stored != sorted(stored)
    np.testing.assert_allclose(brightness_T(decode_video(path)), expected_brightness(range(24)), atol=1.5)


@pytest.mark.faults
def test_missing_empty_and_renamed_files_are_refused(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    for name, reason in [("no.mp4", "is missing"), ("empty.mp4", "cannot be"), ("text.mp4", "cannot be")]:
        with pytest.raises(DecodeError, match=reason):
            decode_video(tmp_path / name)
    with pytest.raises(DecodeError):
        decode_video(tmp_path / "list.mp4")
    with pytest.raises(DecodeError, match="is missing"):
        decode_video(tmp_path)


@pytest.mark.faults
def test_audio_only_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(DecodeError, match="has no video stream"):
        decode_video(path)


@pytest.mark.faults
def test_damage_after_the_window_still_refuses_the_clip(write_video):
    """Half of a clip's packets are overwritten: no partial result, and the count of good frames is told."""
    path = write_video("a.avi", frames=40, codec="mpeg4", options={"g": "1"})
    with av.open(str(path)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for position, size in spans[20:]:
        content[position + 8 : position + 8 + size] = bytes([0xFF]) * size
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"good frames|damaged"):
        decode_video(path, 0, 9)


@pytest.mark.faults
def test_a_hanging_decoder_is_killed_and_the_next_clip_decodes(write_video, tmp_path, monkeypatch):
    path = write_video("a.mp4", frames=2)
    script = tmp_path / "hang.py"
    script.write_text("import time\ntime.sleep(600)\n")
    decode.close_worker()
    with monkeypatch.context() as patch:
        patch.setattr(decode, "_WORKER_FILE", script)
        begin = time.monotonic()
        with pytest.raises(DecodeError, match="hangs the decoder"):
            decode_video(path, limit_s=0.3)
        assert time.monotonic() - begin < 5
    assert len(decode_video(path)) == 2


@pytest.mark.faults
def test_a_crashing_decoder_is_reported_and_the_next_clip_decodes(write_video, tmp_path, monkeypatch):
    path = write_video("a.mp4", frames=2)
    script = tmp_path / "crash.py"
    script.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n")
    decode.close_worker()
    with monkeypatch.context() as patch:
        patch.setattr(decode, "_WORKER_FILE", script)
        with pytest.raises(DecodeError, match="crashes the decoder after 0 frames"):
            decode_video(path)
    assert len(decode_video(path)) == 2


def test_one_worker_serves_many_clips_and_survives_a_bad_one(write_video, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 4096)
    good = write_video("good.mp4", frames=2)
    decode_video(good)
    worker = decode._worker.process.pid
    with pytest.raises(DecodeError):
        decode_video(tmp_path / "bad.mp4")
    decode_video(good)
    assert decode._worker.process.pid == worker


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_starts_its_own_worker(write_video):
    path = write_video("a.mp4", frames=2)
    decode_video(path)
    child = os.fork()
    if child == 0:
        os._exit(0 if len(decode_video(path)) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(decode_video(path)) == 2


def test_the_worker_starts_without_torch():
    """Start-up cost: the worker program must not pull in torch through the package it lies in."""
    code = f"import sys, runpy; runpy.run_path({str(decode._WORKER_FILE)!r}); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


# Real faulty files: name -> frames, height, width, mean brightness of frame 0 (None: must be refused).
REAL_FAULTS = {
    "-video-with-dash-.mp4": (5, 1, 1),
    "decord_corrupted.mp4": None,
    "decord_rot90.mov": (3, 568, 320),
    "h264_10bits.mp4": (30, 200, 200),
    "hmdb51_Pippi_cartwheel.avi": (83, 240, 320),
    "hmdb51_RATRACE_wave.avi": (72, 240, 560),
    "moviepy_no_duration.webm": (74, 720, 1280),
    "torchcodec_h265.mp4": (10, 128, 128),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", REAL_FAULTS)
def test_real_faulty_files(real_files, name):
    path: Path = real_files("fault_inputs") / name
    if REAL_FAULTS[name] is None:
        with pytest.raises(DecodeError, match="after 28 good frames"):
            decode_video(path)
        return
    frames, height, width = REAL_FAULTS[name]
    assert len(decode_video(path, short_side=48)) == frames
    assert decode_video(path, 0, 1).shape == (1, height, width, 3)


def test_real_rotated_file_is_turned_the_right_way(real_files):
    """The keys of this keyboard are lit from above: upright, white lettering makes rows of keys, dark gaps between."""
    frame_HWC = decode_video(real_files("fault_inputs") / "decord_rot90.mov", 0, 1)[0]
    gaps_between_rows = frame_HWC.mean(axis=(1, 2)).std()
    gaps_between_columns = frame_HWC.mean(axis=(0, 2)).std()
    assert frame_HWC.shape[0] > frame_HWC.shape[1]
    assert gaps_between_rows > gaps_between_columns
