"""`compress` writes the student that the library makes; what cannot be built stops it before any work."""

from __future__ import annotations

import pytest
import torch

from flash_vaed import CompressionPlan, StageEdit, compress, load_decoder
from flash_vaed.__main__ import main
from flash_vaed.latent_files import read_latents, save_latents


def call(folder, out, *options: str) -> int:
    files = [str(out), str(folder / "z.safetensors"), "--decoder", str(folder / "teacher")]
    return main(["compress", *files, *options])


def test_the_folder_holds_the_librarys_student(folder, tmp_path, capsys):
    assert call(folder, tmp_path / "small", "--stage", "up2=conv2d:4", "--stage", "mid=depthwise3d") == 0
    teacher, latents = load_decoder(folder / "teacher"), [read_latents(folder / "z.safetensors")]
    plan = CompressionPlan({"up2": StageEdit("conv2d", channels=4), "mid": StageEdit("depthwise3d")})
    expected, stored = compress(teacher, plan, latents).decoder, load_decoder(tmp_path / "small")
    assert stored.spec == expected.spec
    torch.testing.assert_close(stored.decode(latents[0]), expected.decode(latents[0]))
    assert "up2.stream: 4 channels rebuild" in capsys.readouterr().out


def test_a_long_clip_calibrates_in_pieces(folder, tmp_path):
    teacher = load_decoder(folder / "teacher")
    z = torch.randn(1, teacher.latents.channels, 7, 4, 4)
    save_latents(z, tmp_path / "long.safetensors")
    options = ("--decoder", str(folder / "teacher"), "--stage", "up2=conv2d:4", "--clip", "3")
    assert main(["compress", str(tmp_path / "small"), str(tmp_path / "long.safetensors"), *options]) == 0
    pieces = [z[:, :, :3], z[:, :, 3:6], z[:, :, 6:]]
    expected = compress(teacher, CompressionPlan({"up2": StageEdit("conv2d", channels=4)}), pieces).decoder
    torch.testing.assert_close(load_decoder(tmp_path / "small").decode(z, expect=None), expected.decode(z, expect=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stage", "up2=:4", "--clip", "1"], "a piece has at least 2 latents"),
        ([], "nothing to change"),
        (["--stage", "up2"], "is not NAME=OPERATOR:CHANNELS"),
        (["--stage", "up2=conv2e"], "did you mean 'conv2d'"),
        (["--stage", "up9=conv2d"], "the plan edits stage"),
        (["--stage", "up3=:64"], "so it cannot keep 64"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_leaves_nothing(folder, tmp_path, capsys, options, message):
    assert call(folder, tmp_path / "small", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "small").exists()
