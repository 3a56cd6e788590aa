"""Where diffusers keeps the code of the folders it loads: here, a folder of the test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def modules_cache(tmp_path, monkeypatch) -> Path:
    pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    monkeypatch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("diffusers_modules.local.modeling_flash_vaed", None)
    return tmp_path / "modules"
