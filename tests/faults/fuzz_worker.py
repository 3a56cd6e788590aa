"""The process that reads what the fuzz test has damaged: `python -m tests.faults.fuzz_worker READER`.

A path comes in as a line, an answer goes out as a line of JSON: what became of it, in words, and how many bytes of
memory it took at its peak. A crash or a hang of a reader is this process's own, and seen from outside.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Reader = tuple[Callable[[str], Any], type[Exception] | tuple[()]]


def checkpoint() -> Reader:
    from flash_vaed import CheckpointError, load_decoder, load_teacher

    def read(path: str) -> None:
        decoder = load_teacher(path).decoder if (Path(path) / "encoder.json").exists() else load_decoder(path)
        assert all(value.device.type == "cpu" for value in decoder.state_dict().values())

    return read, CheckpointError


def latents() -> Reader:
    from flash_vaed import read_latents

    def read(path: str) -> None:
        z_NCthw = read_latents(path)
        assert z_NCthw.ndim == 5
        assert z_NCthw.is_floating_point()
        assert z_NCthw.isfinite().all()

    return read, ValueError


def clip() -> Reader:
    from bench.data.decode import DecodeError, decode_video

    def read(path: str) -> None:
        frames_THWC = decode_video(path, 0, 9, limit_s=20.0)
        assert frames_THWC.ndim == 4
        assert 1 <= len(frames_THWC) <= 9

    return read, DecodeError


def video() -> Reader:
    from flash_vaed.video_files import read_video

    def read(path: str) -> None:
        assert read_video(path).frames_THWC.shape[3] == 3

    return read, ValueError


def results() -> Reader:
    from bench import records
    from bench.records.check import check

    def read(path: str) -> None:
        runs, measurements, problems = records.read(path)
        assert "good" in set(runs["run_id"])
        assert set(runs["status"]) <= set(records.STATUSES)
        assert set(measurements["run_id"]) <= set(runs["run_id"])
        assert all(len(str(problem)) < 1000 for problem in problems)
        check(Path(path))

    return read, ()


def training() -> Reader:
    from flash_vaed.snapshot import load_snapshot

    def read(path: str) -> None:
        assert isinstance(load_snapshot(Path(path)), dict)

    return read, ValueError


READERS = {reader.__name__: reader for reader in (checkpoint, latents, clip, video, results, training)}


def main(name: str) -> None:
    """Answer until standard input closes. `ok` and `refused` are what a reader may do; all else has `escaped`."""
    read, refusal = READERS[name]()
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        before = _start_measuring()
        try:
            read(line.rstrip("\n"))
            outcome, words = "ok", ""
        except refusal as error:
            outcome, words = "refused", str(error)
        except BaseException:
            outcome, words = "escaped", traceback.format_exc()
        print(json.dumps([outcome, words, _peak(os.getpid()) - before + _helpers()]), file=answers)


def _start_measuring() -> int:
    for pid in (os.getpid(), *_children()):
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak starts anew
    return _peak(os.getpid())


def _helpers() -> int:
    """Of the process that decodes videos."""
    return sum(_peak(pid) for pid in _children())


def _children() -> list[int]:
    found = []
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found += [int(pid) for pid in file.read_text().split()]
    return found


def _peak(pid: int) -> int:
    """High-water mark of resident memory."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main(sys.argv[1])
