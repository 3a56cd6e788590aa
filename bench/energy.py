"""Energy of a stretch of work, from whatever counter this machine has; and what tegrastats prints on a Jetson.

NVIDIA cards count millijoules since the driver was loaded (NVML); the counter moves every 20 to 100 ms, so a stretch
lasts seconds. A Jetson's tegrastats prints the power of its rails, which is integrated. A Linux PC's processor has
counters in powercap (RAPL). Nothing is subtracted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.device import gpu_uuid

LEAST_SECONDS = 5.0  # of a stretch: fifty steps of the slowest counter
TEGRASTATS_MS = 100
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")

_RAIL = re.compile(r"\b(VDD_\w+|VIN_\w+|POM_\w+)\s+(\d+)(?:mW)?/(\d+)(?:mW)?")
_LOAD = re.compile(r"\bGR3D_FREQ\s+(\d+)%")


class Meter(ABC):
    """A counter of joules. method: part of the metric's version."""

    method: str

    @abstractmethod
    def joules(self) -> float:
        """Energy since some moment in the past."""

    def close(self) -> None:  # noqa: B027 -- most meters start nothing
        """Stop whatever was started."""


@dataclass(frozen=True)
class Tegrastats:
    """One line of tegrastats. rails_mw: power of each rail now, in milliwatts. gpu_load: per cent, None if not told."""

    rails_mw: Mapping[str, int]
    gpu_load: int | None

    @property
    def watts(self) -> float:
        """Of all rails that are not part of another: an input rail, where there is one, is the sum of the others; on an
        AGX Orin VIN_SYS_5V0 feeds VDDQ_VDD2_1V8AO, which is not read.
        """
        inputs = {name: mw for name, mw in self.rails_mw.items() if name in ("VDD_IN", "POM_5V_IN")}
        return sum((inputs or self.rails_mw).values()) / 1e3


def parse_tegrastats(line: str) -> Tegrastats:
    """What a line of tegrastats says; one without rails is a `ValueError`. Both spellings, `4970mW/4970mW` and
    `4970/4970`, are read.
    """
    rails = {name: int(now) for name, now, _ in _RAIL.findall(line)}
    if not rails:
        raise ValueError(f"no power rail in this line of tegrastats: {line.strip()[:120]!r}")
    load = _LOAD.search(line)
    return Tegrastats(rails, int(load[1]) if load else None)


def find_meter(device_kind: str) -> Meter | None:
    """The meter of this machine for a kind of device, or None."""
    if shutil.which("tegrastats"):
        return TegrastatsMeter()
    if device_kind == "cuda":
        return NvmlMeter.found()
    return RaplMeter() if _readable(RAPL) else None


def joules_per_call(meter: Meter, fn: Callable[[], object], synchronize: Callable[[], None]) -> tuple[float, int]:
    """Joules per call over at least `LEAST_SECONDS`, and how many calls that were."""
    fn()
    synchronize()
    calls, start_j, start_s = 0, meter.joules(), time.perf_counter()
    while time.perf_counter() - start_s < LEAST_SECONDS:
        fn()
        synchronize()
        calls += 1
    return (meter.joules() - start_j) / calls, calls


class NvmlMeter(Meter):
    """The total-energy counter of the NVIDIA card that this process uses (Volta and later)."""

    method = "nvml-total-energy-1"

    def __init__(self, nvml: object, handle: object) -> None:
        self._nvml, self._handle = nvml, handle

    @classmethod
    def found(cls) -> NvmlMeter | None:
        """None without the package, the driver or the counter."""
        try:
            import pynvml

            pynvml.nvmlInit()
            uuid = gpu_uuid()
            own = pynvml.nvmlDeviceGetHandleByUUID(uuid) if uuid else pynvml.nvmlDeviceGetHandleByIndex(0)
            meter = cls(pynvml, own)
            meter.joules()
        except Exception:  # the package raises a class of its own per error
            return None
        return meter

    def joules(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3  # type: ignore[attr-defined]


class RaplMeter(Meter):
    """The first processor package, as powercap counts it (Intel and AMD); it starts again at its limit."""

    method = "rapl-package-1"

    def __init__(self, counter: Path = RAPL) -> None:
        self._counter = counter
        self._limit_uj = int(counter.with_name("max_energy_range_uj").read_text())
        self._last_uj, self._turns = int(counter.read_text()), 0

    def joules(self) -> float:
        now_uj = int(self._counter.read_text())
        self._turns += now_uj < self._last_uj
        self._last_uj = now_uj
        return (now_uj + self._turns * self._limit_uj) / 1e6


class TegrastatsMeter(Meter):
    """The rails of a Jetson, integrated over time by a thread that reads tegrastats."""

    method = "tegrastats-rails-1"

    def __init__(self, lines: Iterable[str] | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._process = None if lines is not None else _tegrastats()
        self._lines = lines if lines is not None else self._process.stdout or ()  # type: ignore[union-attr]
        self._clock, self._joules = clock, 0.0
        self._thread = threading.Thread(target=self._integrate, daemon=True)
        self._thread.start()

    def _integrate(self) -> None:
        last_s: float | None = None
        for line in self._lines:
            now_s = self._clock()
            if last_s is not None:
                self._joules += parse_tegrastats(line).watts * (now_s - last_s)
            last_s = now_s

    def joules(self) -> float:
        if self._process is None:
            self._thread.join()  # lines that were given end
        return self._joules

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()


def _tegrastats() -> subprocess.Popen[str]:
    return subprocess.Popen(["tegrastats", "--interval", str(TEGRASTATS_MS)], stdout=subprocess.PIPE, text=True)


def _readable(path: Path) -> bool:
    try:
        path.read_text()
    except OSError:
        return False
    return True
