"""Moving a teacher or a decoder makes a copy; what was given stays on the CPU in float32."""

from __future__ import annotations

import pytest
import torch

from bench.placement import on_device, placed
from flash_vaed import Decoder, Teacher
from flash_vaed.families.wan import wan_spec
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.spec import LatentSpace

CPU, META = torch.device("cpu"), torch.device("meta")  # meta: a device that every machine has


def tiny_decoder() -> Decoder:
    return Decoder(wan_spec(4, (1, 2), 1, (False,), latents=LatentSpace("tiny", (0.0,) * 4, (1.0,) * 4)))


def test_on_the_cpu_the_teacher_is_taken_as_it_is():
    teacher = Teacher("t", tiny_decoder(), PatchEncoder(4))
    assert on_device(teacher, CPU) is teacher


@pytest.mark.parametrize("kind", ["module", "function"])
def test_elsewhere_decoder_and_latents_are_on_the_device_and_the_original_is_not(kind):
    seen = []

    def encode(x):
        seen.append(x.device.type)
        return torch.zeros(1, 4, 1, 8, 8)

    encoder = PatchEncoder(4) if kind == "module" else encode
    teacher = Teacher("t", tiny_decoder(), encoder)
    moved = on_device(teacher, META)
    assert {p.device.type for p in moved.decoder.parameters()} == {"meta"}
    assert {p.device.type for p in teacher.decoder.parameters()} == {"cpu"}
    if kind == "module":
        assert moved.encoder(torch.zeros(1, 3, 1, 64, 64, device="meta")).device == META
        assert {p.device.type for p in encoder.parameters()} == {"cpu"}
    else:
        assert moved.encoder(torch.zeros(1, 3, 1, 64, 64)).device == META
        assert seen == ["cpu"]


def test_a_decoder_is_copied_in_the_dtype_asked_for():
    decoder = tiny_decoder()
    half = placed(decoder, CPU, torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in decoder.parameters()} == {torch.float32}
