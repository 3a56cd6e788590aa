"""What is not here is said in one line that helps."""

from __future__ import annotations

import dataclasses

import pytest

from bench.hosts import HOSTS
from tests.bench.hosts.examples import CHOICE, setup


def reason(name: str, model: str | None = None, **told) -> str:
    given = setup(dataclasses.replace(CHOICE, name=name, model=model), **told)
    said = HOSTS.get(name).unavailable(given)
    assert said is not None
    assert "\n" not in said
    return said


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_a_model_that_is_not_in_the_cache(name, tmp_path, monkeypatch):
    pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert "hf download nobody/nothing-here" in reason(name, "nobody/nothing-here")
    assert "names no pipeline" in reason(name)
    (tmp_path / "model_index.json").write_text("{}")
    given = setup(dataclasses.replace(CHOICE, name=name, model=str(tmp_path)))
    assert HOSTS.get(name).unavailable(given) is None


def test_self_forcing_without_a_checkout_its_weights_or_a_gpu(tmp_path):
    assert "self_forcing.root=" in reason("self_forcing")
    assert "lacks pipeline/causal_inference.py" in reason("self_forcing", self_forcing_root=str(tmp_path))
    for name in (
        "pipeline/causal_inference.py", "configs/self_forcing_dmd.yaml", "wan_models/Wan2.1-T2V-1.3B/Wan2.1_VAE.pth",
        "checkpoints/self_forcing_dmd.pt",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert "CUDA" in reason("self_forcing", self_forcing_root=str(tmp_path))


def test_fastvideo_without_its_package_or_a_gpu():
    assert "fastvideo" in reason("fastvideo").lower()
