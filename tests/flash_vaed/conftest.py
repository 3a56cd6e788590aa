"""What the tests of the models share: one thread (the tensors are tiny) and one small teacher."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from flash_vaed import Decoder
from flash_vaed.pruning import Statistics, calibrate
from tests.flash_vaed.examples import random_decoder, random_latents


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def teacher() -> Decoder:
    """A decoder with random weights: widths 32, 32, 32, 16, 8 from mid to up3. Shared: do not change it."""
    return random_decoder()


@pytest.fixture(scope="session")
def calibration_latents() -> list[torch.Tensor]:
    """Enough for the closed-form refit of every stage of `teacher`."""
    return [random_latents(3, 4, 4, n=2, seed=100 + i) for i in range(3)]


@pytest.fixture(scope="session")
def statistics(teacher: Decoder, calibration_latents: list[torch.Tensor]) -> Statistics:
    return calibrate(teacher, calibration_latents)


@pytest.fixture
def modules_cache(tmp_path, monkeypatch) -> Path:
    """Where diffusers keeps the code of the folders it loads: here, a folder of the test."""
    pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    monkeypatch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("diffusers_modules.local.modeling_flash_vaed", None)
    return tmp_path / "modules"
