"""What machine this is: enough to say which numbers may be compared, and why two of them may differ.

`device_id` names the kind of machine (processor or GPU model, cores, threads used), never the machine itself or the
moment: two equal laptops share it, and so do two runs a year apart. Clocks, load and versions are recorded beside it.
torch is asked only when a CUDA device is wanted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.profiles import PROFILES, profile_of

KINDS = ("auto", "cpu", "cuda", *PROFILES)
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
PACKAGES = (
    "torch", "diffusers", "safetensors", "numpy", "pandas", "pyarrow", "hydra-core", "av", "pytorch-msssim", "lpips",
    "triton", "onnx", "onnxscript", "onnxruntime", "nvidia-ml-py", "tensorrt",
)  # fmt: skip
GPU_STATE = (
    "driver_version", "power.limit", "clocks.sm", "clocks.mem", "clocks_throttle_reasons.active", "temperature.gpu",
    "utilization.gpu",
)  # fmt: skip
BUSY_GPU_PERCENT = 10

SLOWED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80  # NVML's reasons: power cap, hardware, heat (software, hardware), power brake

_CPU = Path("/sys/devices/system/cpu/cpu0/cpufreq")


@dataclass(frozen=True)
class Device:
    """The device a run computes on. `facts` is JSON-ready; `device_id` is made of kind, model, cores and threads."""

    kind: str
    name: str
    device_id: str
    facts: dict[str, Any]


def detect(kind: str = "auto", threads: int | None = None, gpu_index: int = 0) -> Device:
    """The device of this machine. `ValueError` for a device that is not here or a thread count that cannot be.

    gpu_index: of the GPUs that are visible here, the one that is meant.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown device {kind!r}; known: {', '.join(KINDS)}")
    cores = usable_cores()
    if threads is not None and not 1 <= threads <= cores:
        raise ValueError(f"device.threads={threads} is not possible; this process may use 1 to {cores} cores")
    gpu = _gpu(gpu_index) if kind != "cpu" else None
    if kind not in ("auto", "cpu") and gpu is None:
        raise ValueError(f"device={kind} was asked for but torch finds no CUDA device; use device=cpu or device=auto")
    if kind in PROFILES and gpu is not None and gpu["profile"] != kind:
        raise ValueError(f"device={kind} was asked for but this is {gpu['name']}; use device=auto or device=cuda")
    host = _host(cores, threads)
    if gpu is None:
        cpu = {"cpu": host["cpu_model"], "cores": cores, "threads": host["threads"]}
        return _device("cpu", f"{host['cpu_model']} ({host['threads']} threads)", cpu, host)
    return _device("cuda", gpu["name"], {"gpu": gpu["name"], "capability": gpu["capability"]}, {**host, "gpu": gpu})


def usable_cores() -> int:
    """Cores this process may use, which in a container can be fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", lambda pid: range(os.cpu_count() or 1))
    allowed = len(affinity(0))
    return max(1, min(allowed, _cgroup_cores() or allowed))


def package_versions() -> dict[str, str]:
    """Versions of what the numbers depend on; "absent" where a package is not installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def git_state(folder: Path) -> tuple[str, bool | None]:
    """(commit, whether tracked files were changed since); ("unknown", None) without git or outside a repository."""
    sha, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--untracked-files=no")
    if sha is None:
        return "unknown", None
    return sha, None if changes is None else bool(changes)


def warnings_for(device: Device) -> list[str]:
    """What may spoil a timing on this machine now, one line each."""
    found = []
    load, cores = device.facts["load_1min"], device.facts["cores"]
    if load is not None and load > 0.5 * cores:
        found.append(f"the machine was busy before the run: load {load:.1f} on {cores} cores")
    if device.facts["governor"] not in (None, "performance"):
        found.append(f"CPU frequency governor is {device.facts['governor']!r}, not 'performance'")
    busy = (device.facts.get("gpu") or {}).get("utilization.gpu", "").removesuffix("%").strip()
    if busy.isdecimal() and int(busy) > BUSY_GPU_PERCENT:
        found.append(f"the GPU was busy before the run, {busy} % of the time: another process uses it")
    return found


def _device(kind: str, name: str, identity: dict[str, Any], facts: dict[str, Any]) -> Device:
    named = {"kind": kind, "machine": platform.machine(), **identity}
    fingerprint = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:8]
    return Device(kind, name, f"{kind}-{fingerprint}", facts)


def _host(cores: int, threads: int | None) -> dict[str, Any]:
    """The CPU side: model, cores, memory, instruction sets, and the state of the moment."""
    cpu = _cpu_info()
    return {
        "cpu_model": cpu.get("model name") or _board() or platform.processor() or platform.machine(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": cores,
        "threads": threads or cores,
        "memory_bytes": _memory_bytes(),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in _flags(cpu)],
        "governor": _read_line(_CPU / "scaling_governor"),
        "clock_khz": _read_line(_CPU / "scaling_cur_freq"),
        "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def gpu_uuid(index: int = 0) -> str | None:
    """What the driver calls the GPU that is number `index` for this process; its own numbers see all GPUs there are."""
    import torch

    if not torch.cuda.is_available():
        return None
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return None if uuid is None else f"GPU-{uuid}"


def visible_gpu(index: int) -> str:
    """What CUDA_VISIBLE_DEVICES must say for the GPU that is number `index` here to be the only one."""
    shown = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return shown[index] if index < len(shown) else str(index)


def _gpu(index: int) -> dict[str, Any] | None:
    """A CUDA device as torch sees it, with driver and clocks from nvidia-smi where that is installed."""
    import torch

    if not torch.cuda.is_available():
        return None
    if index >= torch.cuda.device_count():
        raise ValueError(f"GPU {index} was asked for but torch finds {torch.cuda.device_count()}")
    properties = torch.cuda.get_device_properties(index)
    facts = {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
    profile = profile_of(properties.name, _board())
    published = dataclasses.asdict(PROFILES[profile]) if profile else None
    return {**facts, "profile": profile, "published": published, **gpu_state(index), **_jetson_state()}


def _jetson_state() -> dict[str, str | None]:
    """Board, power mode and clocks of a Jetson, without which its numbers mean nothing; empty elsewhere."""
    board = _board()
    if board is None or "Jetson" not in board:
        return {}
    return {
        "board": board,
        "power_mode": _output(["nvpmodel", "-q"]),
        "jetson_clocks": _output(["jetson_clocks", "--show"]),
        "jetpack": _read_line(Path("/etc/nv_tegra_release")),
    }


def gpu_state(index: int = 0) -> dict[str, str]:
    """Driver, power limit, clocks, throttling and temperature of a visible GPU now; empty without nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return {}
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_STATE)}", "--format=csv,noheader"]
    answer = _output([*query, f"--id={gpu_uuid(index) or index}"])
    values = [value.strip() for value in answer.split(",")] if answer else []
    return dict(zip(GPU_STATE, values, strict=False))


def slowed_down(state: dict[str, str]) -> str | None:
    """Why the GPU's clocks are held down, as `gpu_state` has it: NVML's mask; None where they are not, or it idles."""
    reasons = state.get("clocks_throttle_reasons.active", "")
    try:
        return reasons if int(reasons, 16) & SLOWED else None
    except ValueError:  # not told
        return None


def _cpu_info() -> dict[str, str]:
    """Fields of the first processor in /proc/cpuinfo; empty where there is no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _flags(cpu: dict[str, str]) -> set[str]:
    return set((cpu.get("flags") or cpu.get("Features") or "").split())


def _board() -> str | None:
    """Board name of an ARM machine (Jetson and the like)."""
    model = _read_line(Path("/proc/device-tree/model"))
    return model.rstrip("\x00") if model else None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _cgroup_cores() -> int | None:
    """Whole cores of a container's CPU quota (cgroup v2), or None without a quota."""
    quota = _read_line(Path("/sys/fs/cgroup/cpu.max"))
    if quota is None or quota.startswith("max"):
        return None
    allowed, period = quota.split()
    return max(1, round(int(allowed) / int(period)))


def _git(folder: Path, *arguments: str) -> str | None:
    return _output(["git", "-C", str(folder), *arguments])


def _output(command: list[str]) -> str | None:
    """Standard output of a short command; None when it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
