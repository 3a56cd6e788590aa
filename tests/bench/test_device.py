"""A device is named by its kind, says what it is, and is never claimed where it is absent."""

from __future__ import annotations

import json
import subprocess

import pytest

from bench import device
from bench.device import detect, git_state, package_versions, usable_cores, warnings_for


def test_device_id_is_stable_and_independent_of_load_and_host():
    first = detect("cpu")
    assert first.device_id == detect("cpu").device_id
    assert first.device_id.startswith("cpu-")
    assert first.facts["cores"] == usable_cores()
    json.dumps(first.facts)


def test_fewer_threads_are_another_device():
    if usable_cores() < 2:
        pytest.skip("needs two cores")
    assert detect("cpu", threads=1).device_id != detect("cpu", threads=2).device_id


@pytest.mark.parametrize("threads", [0, 10_000])
def test_impossible_thread_counts_are_refused(threads):
    with pytest.raises(ValueError, match="is not possible"):
        detect("cpu", threads)


def test_an_absent_gpu_is_refused_never_replaced(monkeypatch):
    monkeypatch.setattr(device, "_gpu", lambda index: None)
    with pytest.raises(ValueError, match="no CUDA device"):
        detect("cuda")
    assert detect("auto").kind == "cpu"


def test_a_gpu_is_described_by_its_model(monkeypatch):
    monkeypatch.setattr(device, "_gpu", lambda index: {"name": "NVIDIA X", "capability": "9.0", "memory_bytes": index})
    found = detect("auto")
    assert (found.kind, found.name) == ("cuda", "NVIDIA X")
    assert found.device_id != detect("cpu").device_id
    second = detect("auto", gpu_index=1)
    assert (second.device_id, second.facts["gpu"]["memory_bytes"]) == (found.device_id, 1)


@pytest.mark.parametrize(("shown", "index", "name"), [(None, 1, "1"), ("3,5", 1, "5"), ("GPU-a,GPU-b", 0, "GPU-a")])
def test_a_visible_gpu_keeps_its_name_when_it_is_alone(monkeypatch, shown, index, name):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert device.visible_gpu(index) == name


def test_the_driver_is_asked_about_the_gpu_that_this_process_sees(monkeypatch):
    """Its own number 0 may be somebody else's card on a machine with eight."""
    asked = []
    monkeypatch.setattr(device.shutil, "which", lambda name: name)
    monkeypatch.setattr(device, "gpu_uuid", lambda index: f"GPU-of-{index}")
    monkeypatch.setattr(device, "_output", lambda command: asked.append(command) or "1, 2, 3, 4, 5, 6")
    assert device.gpu_state(2)["temperature.gpu"] == "6"
    assert asked[0][-1] == "--id=GPU-of-2"


def test_unknown_kind_lists_the_known():
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        detect("gpu")


@pytest.mark.faults
def test_a_busy_machine_and_a_slow_governor_are_said():
    quiet = detect("cpu")
    quiet.facts.update(load_1min=0.0, governor="performance")
    assert warnings_for(quiet) == []
    quiet.facts.update(load_1min=float(quiet.facts["cores"]), governor="powersave")
    assert len(warnings_for(quiet)) == 2


@pytest.mark.faults
@pytest.mark.parametrize(("told", "warned"), [("0 %", 0), ("97 %", 1), ("[N/A]", 0), (None, 0)])
def test_a_gpu_that_somebody_else_uses_is_said(told, warned):
    quiet = detect("cpu")
    quiet.facts.update(load_1min=0.0, governor="performance", gpu={"utilization.gpu": told} if told else {})
    found = warnings_for(quiet)
    assert len(found) == warned
    assert all("GPU was busy" in line for line in found)


def test_versions_name_absent_packages(monkeypatch):
    monkeypatch.setattr(device, "PACKAGES", ("torch", "no-such-package"))
    versions = package_versions()
    assert versions["no-such-package"] == "absent"
    assert versions["torch"] != "absent"


@pytest.mark.faults
def test_git_state_is_unknown_outside_a_repository_and_sees_changes(tmp_path):
    assert git_state(tmp_path) == ("unknown", None)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    sha, dirty = git_state(tmp_path)
    assert len(sha) == 40
    assert dirty is False
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == (sha, True)
    subprocess.run([*git, "commit", "-qam", "y"], check=True)
    subprocess.run([*git, "checkout", "-q", "--detach", sha], check=True)
    assert git_state(tmp_path) == (sha, False)


@pytest.mark.faults
def test_a_machine_without_git_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(device.Path(__file__).parent) == ("unknown", None)
