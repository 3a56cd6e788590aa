"""A teacher: geometry is checked before anything is encoded, and its fingerprint is that of its weights."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from flash_vaed import Teacher
from flash_vaed.patch_encoder import PatchEncoder
from tests.flash_vaed.examples import SmoothVideo, random_decoder, tiny_spec


@pytest.fixture
def small() -> Teacher:
    encoder = PatchEncoder(4)
    encoder.fit([next(SmoothVideo())])
    return Teacher("small", random_decoder(tiny_spec(4)), encoder)


def test_what_it_encodes_it_decodes_to_the_same_shape(small):
    x_NCTHW = next(SmoothVideo(frames=9, size=24))
    z_NCthw = small.encode(x_NCTHW)
    assert z_NCthw.shape == (2, 4, 3, 3, 3)
    assert not z_NCthw.requires_grad
    assert small.decoder.decode(z_NCthw).shape == x_NCTHW.shape


@pytest.mark.parametrize("shape", [(1, 3, 6, 16, 16), (1, 3, 5, 15, 16), (1, 3, 5, 16, 12), (3, 5, 16, 16)])
def test_video_it_cannot_encode_is_refused(small, shape):
    with pytest.raises(ValueError, match=r"4 k \+ 1 frames with sides divisible by 8|expected \(N, 3, T, H, W\)"):
        small.encode(torch.zeros(shape))


def test_the_fingerprint_follows_every_weight(small):
    first = small.fingerprint
    twin = dataclasses.replace(small, decoder=copy.deepcopy(small.decoder))
    assert twin.fingerprint == first
    assert len(first) == 12
    twin.decoder.head.conv.bias[0] += 1e-6
    assert twin.fingerprint != first


def test_a_teacher_in_half_precision_has_a_fingerprint_of_its_own(small):
    half = dataclasses.replace(small, decoder=copy.deepcopy(small.decoder).bfloat16())
    assert len(half.fingerprint) == 12
    assert half.fingerprint != small.fingerprint
