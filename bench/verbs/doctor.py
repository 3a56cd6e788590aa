"""Say what this machine can run, what is missing, and how to get it; changes nothing.

  python -m bench doctor [--results DIR]
Exit code 0 when the quickstart study can run here, 1 when something it needs is missing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.arguments import parser_of
from bench.data import open_clips
from bench.data.decode import DecodeError
from bench.device import detect, git_state, package_versions, warnings_for
from bench.energy import find_meter
from bench.metrics import METRICS, make_metric
from bench.paths import ROOT
from bench.records import stored_runs
from flash_vaed import load_teacher
from flash_vaed.commands.engines import JETSON

OPTIONAL = (
    "diffusers",
    "lpips",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "nvidia-ml-py",
    "triton",
    "tensorrt",
)  # not needed by the quickstart study


@dataclass(frozen=True)
class Finding:
    """One line of the report. `state`: "ok", "note" (worth knowing) or "missing" (the quickstart study cannot run)."""

    subject: str
    state: str
    text: str


def main(argv: list[str]) -> int:
    parser = parser_of("doctor", __doc__)
    parser.add_argument(
        "--results", default="results/local", metavar="DIR", help="where runs are stored (default: results/local)"
    )
    given = parser.parse_args(argv)
    findings = list(examine(Path(given.results)))
    for finding in findings:
        print(f"{finding.state:<8} {finding.subject:<16} {finding.text}")
    missing = [finding.subject for finding in findings if finding.state == "missing"]
    print(f"\nnot ready: {', '.join(missing)}" if missing else "\nready: python -m bench multirun")
    return 1 if missing else 0


def examine(results: Path) -> Iterator[Finding]:
    """Everything worth saying about this machine, in the order of reading."""
    yield from _machine()
    yield from _packages()
    yield from _runtime()
    yield _teacher("bundled", needed=True)
    yield _teacher("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", needed=False)
    for split in ("train", "heldout"):
        yield _clips(split)
    for name in METRICS.names():
        reason = make_metric(name).unavailable()
        yield Finding(f"metric {name}", "ok" if reason is None else "note", reason or "available")
    yield _folder(results)


def _machine() -> Iterator[Finding]:
    device = detect()
    facts = device.facts
    memory = f"{facts['memory_bytes'] / 2**30:.0f} GiB" if facts["memory_bytes"] else "unknown"
    yield Finding("device", "ok", f"{device.name}, {device.device_id}, {facts['threads']} CPU threads, memory {memory}")
    for warning in warnings_for(device):
        yield Finding("device", "note", warning)
    sha, dirty = git_state(ROOT)
    yield Finding("code", "ok", f"commit {sha[:12]}" + (" with changes" if dirty else ""))


def _packages() -> Iterator[Finding]:
    versions = package_versions()
    present = [f"{name} {version}" for name, version in versions.items() if version != "absent"]
    yield Finding("packages", "ok", ", ".join(present))
    for name in (name for name, version in versions.items() if version == "absent"):
        state = "note" if name in OPTIONAL else "missing"
        yield Finding("packages", state, f"{name} is not installed; get it with: pip install {name}")


def _runtime() -> Iterator[Finding]:
    """What the runtime options and the energy column need besides packages."""
    device = detect()
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None and device.kind == "cpu":
        yield Finding("compile", "note", "no C++ compiler: runtime=exact and fast need one; apt install g++")
    else:
        yield Finding("compile", "ok", "by Triton, for the GPU" if device.kind == "cuda" else str(compiler))
    profile = device.facts.get("gpu", {}).get("profile")
    if device.kind == "cuda" and profile is None:
        yield Finding("profile", "note", f"no published rates for {device.name}; they may go into bench/profiles.py")
    elif profile is not None:
        yield Finding("profile", "ok", f"device={profile}")
    meter = find_meter(device.kind)
    text = "no counter (NVML, tegrastats, RAPL): energy stays empty" if meter is None else meter.method
    yield Finding("energy", "note" if meter is None else "ok", text)
    if meter is not None:
        meter.close()
    trtexec = shutil.which("trtexec") or shutil.which(JETSON)
    missing = "no trtexec: `python -m flash_vaed engines` cannot build TensorRT engines here"
    yield Finding("tensorrt", "ok" if trtexec else "note", trtexec or missing)


def _teacher(path: str, needed: bool) -> Finding:
    try:
        teacher = load_teacher(path)
    except (ValueError, ImportError) as error:
        return Finding("teacher", "missing" if needed else "note", " ".join(str(error).split()))
    parameters = sum(parameter.numel() for parameter in teacher.decoder.parameters())
    return Finding("teacher", "ok", f"{path}, decoder of {parameters / 1e6:.2f} M parameters, {teacher.fingerprint}")


def _clips(split: str) -> Finding:
    try:
        clips = open_clips("bundled", split=split)
    except (ValueError, DecodeError) as error:
        return Finding(f"clips {split}", "missing", " ".join(str(error).split()))
    return Finding(f"clips {split}", "ok", f"{len(clips)} bundled clips, {clips.fingerprint[:12]}")


def _folder(results: Path) -> Finding:
    """Whether runs can be stored, without creating anything."""
    nearest = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        return Finding("results", "missing", f"{results} cannot be written; choose another with paths.results=DIR")
    return Finding("results", "ok", f"{results}, {len(stored_runs(results))} finished runs")
