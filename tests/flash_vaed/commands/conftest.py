"""A small teacher on disk, and a short video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from flash_vaed import Teacher, save_latents, save_teacher
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.video_files import video_writer
from tests.flash_vaed.examples import SmoothVideo, random_decoder, random_latents, scramble, tiny_spec


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`teacher/` (four latent channels), `v.mp4` (11 frames of 20x28 at 25), `z.safetensors` (5 latents of 2x3)."""
    place = tmp_path_factory.mktemp("commands")
    encoder = scramble(PatchEncoder(4))
    save_teacher(Teacher("tiny", random_decoder(tiny_spec(4, blocks=1)), encoder), place / "teacher")
    with video_writer(place / "v.mp4", Fraction(25), 20, 28) as video:
        video.write(next(iter(SmoothVideo(frames=11, size=28)))[0, :, :, :20])
    save_latents(random_latents(5, 2, 3), place / "z.safetensors")
    return place
