"""Meters, and tegrastats as real Jetsons print it."""

from __future__ import annotations

import itertools
import sys
from types import SimpleNamespace

import pytest

from bench import energy
from bench.energy import Meter, NvmlMeter, RaplMeter, TegrastatsMeter, joules_per_call, parse_tegrastats

ORIN_AGX = (
    "11-26-2024 10:02:11 RAM 5412/62841MB (lfb 3x4MB) SWAP 0/31420MB (cached 0MB) CPU [3%@2201,0%@2201,off,1%@729] "
    "EMC_FREQ 2%@3199 GR3D_FREQ 97%@[1300,1300] NVENC off NVDEC off VIC off OFA off APE 200 cpu@52.1C tboard@41.5C "
    "soc2@48.9C tdiode@43.2C gpu@50.1C tj@52.1C soc1@48.2C VDD_GPU_SOC 12770mW/4788mW VDD_CPU_CV 1995mW/798mW "
    "VIN_SYS_5V0 5043mW/3934mW NC 0mW/0mW VDDQ_VDD2_1V8AO 1209mW/605mW"
)
ORIN_NX = (
    "RAM 3032/15523MB (lfb 2x4MB) SWAP 0/7762MB CPU [12%@1984,9%@1984] GR3D_FREQ 45% cpu@49C gpu@48C "
    "VDD_IN 9812mW/9100mW VDD_CPU_GPU_CV 4021mW/3650mW VDD_SOC 2204mW/2100mW"
)
XAVIER_OLD = "RAM 2100/7770MB GR3D_FREQ 0%@114 POM_5V_IN 3170/3170 POM_5V_GPU 41/41 POM_5V_CPU 494/494"


def test_rails_of_an_agx_orin():
    found = parse_tegrastats(ORIN_AGX)
    assert found.rails_mw["VDD_GPU_SOC"] == 12770
    assert found.rails_mw["VIN_SYS_5V0"] == 5043
    assert found.gpu_load == 97
    assert found.watts == pytest.approx((12770 + 1995 + 5043) / 1e3)  # VDDQ is fed from VIN_SYS_5V0


@pytest.mark.parametrize(("line", "watts", "load"), [(ORIN_NX, 9.812, 45), (XAVIER_OLD, 3.17, 0)])
def test_an_input_rail_is_the_sum_and_is_not_counted_twice(line, watts, load):
    found = parse_tegrastats(line)
    assert (found.watts, found.gpu_load) == (pytest.approx(watts), load)


@pytest.mark.parametrize("line", ["", "RAM 1/2MB GR3D_FREQ 0%", "permission denied"])
def test_a_line_without_rails_is_an_error(line):
    with pytest.raises(ValueError, match="no power rail"):
        parse_tegrastats(line)


def test_power_is_integrated_over_the_time_between_lines():
    ticks = itertools.count(0.0, 0.5)
    meter = TegrastatsMeter([ORIN_NX] * 5, clock=lambda: next(ticks))
    assert meter.joules() == pytest.approx(9.812 * 2.0)


def test_rapl_goes_on_behind_its_limit(tmp_path):
    counter = tmp_path / "energy_uj"
    (tmp_path / "max_energy_range_uj").write_text("1000000\n")
    counter.write_text("900000\n")
    meter = RaplMeter(counter)
    start = meter.joules()
    counter.write_text("100000\n")
    assert meter.joules() - start == pytest.approx(0.2)


def test_energy_per_call_is_what_the_counter_moved_by(monkeypatch):
    monkeypatch.setattr("bench.energy.LEAST_SECONDS", 0.05)

    class Counter(Meter):
        method = "test"
        now = 0.0

        def joules(self) -> float:
            return self.now

    meter = Counter()

    def work() -> None:
        meter.now += 2.0

    joules, calls = joules_per_call(meter, work, lambda: None)
    assert calls > 1
    assert joules == pytest.approx(2.0)


def test_the_meter_is_that_of_the_gpu_this_process_uses(monkeypatch):
    """On a machine with eight cards the driver's first one is somebody else's."""
    joules = {"GPU-mine": 7.0, 0: 99.0}
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 1e3 * joules[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(energy, "gpu_uuid", lambda: "GPU-mine")
    assert NvmlMeter.found().joules() == 7.0
    monkeypatch.setattr(energy, "gpu_uuid", lambda: None)
    assert NvmlMeter.found().joules() == 99.0
