"""LPIPS: says what is absent and how to get it, takes no other weights, and computes the published formula."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.metrics import NotApplicable, make_metric
from bench.metrics.lpips import Lpips
from flash_vaed import lpips as lpips_module
from flash_vaed.lpips import BACKBONE_NAME, BACKBONE_VARIABLE, CHANNELS


@pytest.fixture
def weights(tmp_path: Path, monkeypatch) -> tuple[Path, dict, dict]:
    """Random weight files in the published layout, accepted in place of the real ones."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "0": (64, 3, 11, 11),
        "3": (192, 64, 5, 5),
        "6": (384, 192, 3, 3),
        "8": (256, 384, 3, 3),
        "10": (256, 256, 3, 3),
    }
    trunk = {f"features.{key}.weight": torch.randn(shape, generator=generator) * 0.05 for key, shape in shapes.items()}
    trunk |= {f"features.{key}.bias": torch.randn(shape[0], generator=generator) * 0.1 for key, shape in shapes.items()}
    heads = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for i, c in enumerate(CHANNELS)}
    torch.save(trunk | {"classifier.1.weight": torch.zeros(1)}, tmp_path / BACKBONE_NAME)
    torch.save(heads, tmp_path / "alex.pth")
    monkeypatch.setattr(lpips_module, "_heads_file", lambda: tmp_path / "alex.pth")
    monkeypatch.setattr(lpips_module, "BACKBONE_SHA256_START", "")
    return tmp_path / BACKBONE_NAME, trunk, heads


def published_lpips(trunk: dict, heads: dict, a_NCHW: torch.Tensor, b_NCHW: torch.Tensor) -> torch.Tensor:
    """The distance from the paper, on torchvision's AlexNet written as a plain sequence."""
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip
    layers.load_state_dict({key.removeprefix("features."): value for key, value in trunk.items()})
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    a, b = ((x - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1) for x in (a_NCHW, b_NCHW))
    total, level = 0, 0
    with torch.no_grad():
        for layer in layers:
            a, b = layer(a), layer(b)
            if isinstance(layer, nn.ReLU):
                squared = (nn.functional.normalize(a, dim=1) - nn.functional.normalize(b, dim=1)) ** 2
                total = total + (squared * heads[f"lin{level}.model.1.weight"]).sum(1).mean((1, 2))
                level += 1
    return total


def test_equals_the_published_formula(weights, clip_CTHW):
    backbone, trunk, heads = weights
    noise = 0.2 * torch.randn(clip_CTHW.shape, generator=torch.Generator().manual_seed(3))
    candidate = (clip_CTHW + noise).clamp(-1, 1)
    values_T = Lpips(backbone)(clip_CTHW, candidate)
    expected = published_lpips(trunk, heads, clip_CTHW.transpose(0, 1), candidate.transpose(0, 1))
    torch.testing.assert_close(values_T, expected.double(), rtol=1e-4, atol=1e-6)
    assert (values_T > 0.01).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(Lpips(backbone)(clip_CTHW, candidate), values_T, rtol=1e-5, atol=1e-7)
    assert (Lpips(backbone)(clip_CTHW, clip_CTHW) == 0).all()


def test_long_clips_are_measured_in_parts_with_the_same_result(weights):
    clip = torch.rand(3, 11, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    metric = Lpips(weights[0])
    parts = torch.cat([metric(clip[:, t : t + 1], -clip[:, t : t + 1]) for t in range(11)])
    torch.testing.assert_close(metric(clip, -clip), parts, rtol=1e-4, atol=1e-6)


def test_backbone_comes_from_the_variable_then_from_the_hub_cache(weights, monkeypatch, tmp_path):
    monkeypatch.setenv(BACKBONE_VARIABLE, str(weights[0]))
    assert make_metric("lpips").unavailable() is None
    monkeypatch.delenv(BACKBONE_VARIABLE)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert f"hub/checkpoints/{BACKBONE_NAME}" in make_metric("lpips").unavailable()
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints" / BACKBONE_NAME).write_bytes(weights[0].read_bytes())
    assert make_metric("lpips").unavailable() is None


@pytest.mark.faults
def test_absence_is_said_in_one_line_with_the_command_and_without_a_download(weights, monkeypatch, tmp_path, clip_CTHW):
    def refuse(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    metric = Lpips(tmp_path / "nowhere.pth")
    assert "absent at" in metric.unavailable()
    assert "python -c" in metric.unavailable()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert "absent at ~/nowhere.pth:" in metric.unavailable(), "stored rows say nothing of whose machine it was"
    with pytest.raises(ValueError, match="AlexNet weights, absent"):
        metric(clip_CTHW, clip_CTHW)
    monkeypatch.setattr(lpips_module, "_heads_file", lambda: None)
    assert metric.unavailable().endswith("pip install --no-deps lpips")


@pytest.mark.faults
def test_other_weights_are_refused(weights, monkeypatch):
    monkeypatch.setattr(lpips_module, "BACKBONE_SHA256_START", "7be5be79")
    assert "has sha256" in Lpips(weights[0]).unavailable()


def test_small_frames_are_not_applicable(weights):
    with pytest.raises(NotApplicable, match="32 pixels"):
        Lpips(weights[0])(torch.zeros(3, 1, 31, 64), torch.zeros(3, 1, 31, 64))
    assert Lpips(weights[0])(torch.zeros(3, 1, 32, 32), torch.zeros(3, 1, 32, 32)).item() == 0
