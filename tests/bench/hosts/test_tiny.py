"""The real pipelines without a download: parts make the whole, and an exact copy changes no pixel."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from bench.hosts import HOSTS, Host
from bench.hosts.tiny_wan import stock_vae
from flash_vaed.families.ltx import ltx_spec
from tests.bench.hosts.examples import CHOICE, setup, small_teacher
from tests.flash_vaed.examples import random_decoder

pytest.importorskip("diffusers", reason="the extra `wan` is not installed")
pytest.importorskip("transformers", reason="transformers is not installed, without which diffusers has no pipelines")


@pytest.fixture(scope="module", params=["tiny_wan", "tiny_ltx"])
def host(request) -> Host:
    given = setup(dataclasses.replace(CHOICE, name=request.param, steps=2))
    kind = HOSTS.get(request.param)
    assert kind.unavailable(given) is None
    return kind.start(given)


def test_the_parts_make_the_whole(host):
    host.use(None)
    z = host.denoise(host.text("a cat"), 7)
    assert z.shape == (1, 4, 2, 4, 4)
    frames = host.decode(z)
    assert frames.shape == (1, 3, 5, 32, 32)
    torch.testing.assert_close(frames.clamp(-1, 1), host.generate("a cat", 7), atol=1e-4, rtol=0)


def test_latents_follow_from_prompt_and_seed(host):
    z = host.denoise(host.text("a cat"), 7)
    torch.testing.assert_close(host.denoise(host.text("a cat"), 7), z, atol=0, rtol=0)
    assert (host.denoise(host.text("a cat"), 8) - z).abs().mean() > 0.1
    assert (host.denoise(host.text("a dog"), 7) - z).abs().max() > 0


def test_an_exact_copy_changes_no_pixel_and_another_decoder_does(host):
    host.use(None)
    before = host.generate("a cat", 1)
    host.use(host.own)
    torch.testing.assert_close(host.generate("a cat", 1), before, atol=1e-4, rtol=0)
    host.use(random_decoder(host.own.spec, seed=9), chunk=1)
    assert (host.generate("a cat", 1) - before).abs().mean() > 0.01
    host.use(None)
    torch.testing.assert_close(host.generate("a cat", 1), before, atol=0, rtol=0)


def test_the_stock_vae_is_the_teacher():
    teacher = small_teacher()
    z = torch.randn(1, 4, 3, 4, 4)
    frames = stock_vae(teacher).decode(z, return_dict=False)[0]
    torch.testing.assert_close(frames, teacher.decode(z, expect=None), atol=1e-4, rtol=0)


def test_a_decoder_that_is_no_wan_teacher_has_no_stock_vae():
    spec = small_teacher().spec
    changed = spec.with_stages(up3=dataclasses.replace(spec.stages["up3"], operator="conv2d"))
    with pytest.raises(ValueError, match="Wan teacher"):
        stock_vae(random_decoder(changed))
    with pytest.raises(ValueError, match="Wan teacher"):
        stock_vae(random_decoder(ltx_spec((16, 8), blocks=(1, 1, 1), upsample=(True, True), patch=2)))
