"""Frames of a video file, decoded in a separate process that can be killed.

A damaged file can crash or hang a decoder; neither may take a benchmark run with it. One worker process is kept and
reused. If it falls silent for `SILENCE_LIMIT_S` it is killed and the clip is reported. A file is either decoded right
or refused with a reason: no partial result, no replacement. Frames are counted by decoding, never from the header.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

SILENCE_LIMIT_S = 30.0
CHECKED_FRAMES = 1000  # frames after the wanted window that are decoded only to see whether the file is sound

_WORKER_FILE = Path(__file__).with_name("decode_worker.py")
_HEADER_BYTES = 9


class DecodeError(Exception):
    """Why a file could not be decoded, as the end of a sentence that starts with the clip's name."""


def decode_video(
    path: str | os.PathLike[str],
    start: int = 0,
    stop: int | None = None,
    stride: int = 1,
    short_side: int | None = None,
    limit_s: float = SILENCE_LIMIT_S,
) -> np.ndarray:
    """Frames `start, start + stride, ...` before `stop` as uint8 RGB (T, H, W, 3), upright.

    `short_side` shrinks larger frames while decoding (area filter), so that long clips fit in memory. The file is
    decoded up to `CHECKED_FRAMES` beyond `stop`: damage there also refuses the clip. Raises `DecodeError`.
    """
    if not Path(path).is_file():
        raise DecodeError("is missing")
    request = {
        "path": os.path.abspath(os.fspath(path)),
        "start": start,
        "stop": stop,
        "stride": stride,
        "short_side": short_side,
        "check_to": sys.maxsize if stop is None else stop + CHECKED_FRAMES,
    }
    with _lock:
        frames, decoded = _worker_of_this_process().ask(request, limit_s)
    if not frames:
        raise DecodeError(f"has only {decoded} frames; frame {start} was wanted" if decoded else "holds no frames")
    return np.stack(frames)


class _Worker:
    """One decoding process and the pipe to it."""

    def __init__(self) -> None:
        self.owner_pid = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, str(_WORKER_FILE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.answers, selectors.EVENT_READ)

    def alive(self) -> bool:
        return self.owner_pid == os.getpid() and self.process.poll() is None

    def ask(self, request: dict[str, object], limit_s: float) -> tuple[list[np.ndarray], int]:
        """The frames one request yields and the number decoded; kills the worker when anything goes wrong."""
        try:
            self.requests.write(json.dumps(request).encode() + b"\n")
            return self._collect(limit_s)
        except _WorkerLost as lost:
            self.kill()
            raise DecodeError(str(lost)) from None
        except BrokenPipeError:
            self.kill()
            raise DecodeError("could not be decoded: the decoder process died before it started") from None
        except DecodeError:
            raise  # the worker answered in full and stays usable
        except BaseException:
            self.kill()  # an interrupted answer must not be read as the next one
            raise

    def _collect(self, limit_s: float) -> tuple[list[np.ndarray], int]:
        frames: list[np.ndarray] = []
        while True:
            kind, payload = self._message(limit_s, len(frames))
            if kind == b"F":
                height, width = struct.unpack_from("<II", payload)
                frames.append(np.frombuffer(payload, np.uint8, offset=8).reshape(height, width, 3))
            elif kind == b"D":
                return frames, json.loads(payload)["decoded"]
            elif kind == b"E":
                raise DecodeError(json.loads(payload)["reason"])

    def _message(self, limit_s: float, received: int) -> tuple[bytes, bytearray]:
        header = self._read(_HEADER_BYTES, limit_s, received)
        return bytes(header[:1]), self._read(struct.unpack_from("<Q", header, 1)[0], limit_s, received)

    def _read(self, count: int, limit_s: float, received: int) -> bytearray:
        buffer = bytearray(count)
        view, filled = memoryview(buffer), 0
        while filled < count:
            if not self.selector.select(limit_s):
                raise _WorkerLost(f"hangs the decoder: nothing for {limit_s:g} s after {received} frames")
            got = os.readv(self.answers.fileno(), [view[filled:]])
            if not got:
                raise _WorkerLost(f"crashes the decoder after {received} frames")
            filled += got
        return buffer

    def kill(self) -> None:
        if self.owner_pid == os.getpid():
            self.process.kill()
            self.process.wait()
        self.selector.close()
        self.requests.close()
        self.answers.close()


class _WorkerLost(Exception):
    """The worker process hung or died."""


_lock = threading.Lock()
_worker: _Worker | None = None


def _worker_of_this_process() -> _Worker:
    """The running worker; started on first use, after a loss, and after a fork."""
    global _worker
    if _worker is None or not _worker.alive():
        _worker = _Worker()
    return _worker


@atexit.register
def close_worker() -> None:
    """Stop the worker process; the next decode starts a new one."""
    global _worker
    if _worker is not None:
        _worker.kill()
        _worker = None
