"""Published rates are found by the device's own name, and a device is never taken for another one."""

from __future__ import annotations

import pytest

from bench.config import options
from bench.device import detect
from bench.profiles import PROFILES, profile_of


@pytest.mark.parametrize(
    ("gpu", "board", "name"),
    [
        ("NVIDIA GeForce RTX 4090", None, "rtx4090"),
        ("NVIDIA GeForce RTX 4090 D", None, None),
        ("NVIDIA GeForce RTX 5090", None, "rtx5090"),
        ("NVIDIA GeForce RTX 5090 D", None, "rtx5090d"),
        ("NVIDIA H200", None, "h200"),
        ("NVIDIA H100 80GB HBM3", None, "h100"),
        ("Orin", "NVIDIA Jetson AGX Orin Developer Kit", "orin_agx"),
        ("Orin", "NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "orin_nx"),
        ("NVIDIA GeForce GTX 1080", None, None),
    ],
)
def test_a_name_finds_its_profile(gpu, board, name):
    assert profile_of(gpu, board) == name


def test_every_profile_can_be_asked_for():
    assert set(PROFILES) <= set(options("device"))


def test_another_device_than_the_one_here_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="device=rtx4090"):
        detect("rtx4090")
    gpu = {"name": "NVIDIA H200", "capability": "9.0", "profile": "h200"}
    monkeypatch.setattr("bench.device._gpu", lambda index: gpu)
    assert detect("h200").kind == "cuda"
    assert detect("h200").device_id == detect("cuda").device_id
    with pytest.raises(ValueError, match="but this is NVIDIA H200"):
        detect("rtx4090")


def test_published_rates_have_no_sparsity_in_them():
    """A rate with sparsity is twice too high; dense 16 bit is at most 16 times float32."""
    for profile in PROFILES.values():
        assert profile.tensor16_tflops is None or profile.tensor16_tflops <= 16 * profile.float32_tflops
