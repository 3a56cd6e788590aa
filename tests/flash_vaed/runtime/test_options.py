"""The library's presets are those the benchmark times."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flash_vaed.runtime import EXACT, FAST, FAST_GPU, RuntimeOptions

CONF = Path(__file__).parents[3] / "conf" / "runtime"


@pytest.mark.parametrize(("name", "options"), [("exact", EXACT), ("fast", FAST), ("fast_gpu", FAST_GPU)])
def test_presets(name, options):
    said = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    of_decode = ("name", "chunk", "keep_heap")  # how it is called, not what it is
    fields = {key: value for key, value in said.items() if key not in of_decode}
    assert RuntimeOptions(**{**fields, "rewrites": tuple(fields["rewrites"])}) == options
