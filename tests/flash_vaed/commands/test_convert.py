"""`convert` keeps the decoder: the same frames from a folder of ours, stored in the type that was asked for."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import load_file

from flash_vaed import load_decoder, save_decoder
from flash_vaed.__main__ import main
from flash_vaed.commands import _folder
from tests.flash_vaed.examples import random_decoder, random_latents, tiny_spec


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_folder_holds_the_same_decoder(folder, tmp_path, dtype):
    assert main(["convert", str(folder / "teacher"), str(tmp_path / "out"), "--dtype", dtype]) == 0
    before, after, z = load_decoder(folder / "teacher"), load_decoder(tmp_path / "out"), random_latents(2)
    stored = load_file(tmp_path / "out" / "decoder.safetensors")
    assert {value.dtype for value in stored.values()} == {getattr(torch, dtype)}
    assert sorted(os.listdir(tmp_path / "out")) == ["decoder.json", "decoder.safetensors"]
    tolerance = {"float32": 0, "float16": 2e-2, "bfloat16": 2e-1}[dtype]
    torch.testing.assert_close(after.decode(z), before.decode(z), atol=tolerance, rtol=0)


def test_an_existing_folder_is_not_touched(folder, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert main(["convert", str(folder / "teacher"), str(tmp_path / "out")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == ["mine.txt"]


def test_weights_that_a_type_cannot_hold_are_refused(tmp_path, capsys):
    decoder = random_decoder(tiny_spec(4, blocks=1))
    decoder.head.conv.bias.fill_(1e6)
    save_decoder(decoder, tmp_path / "loud")
    assert main(["convert", str(tmp_path / "loud"), str(tmp_path / "out"), "--dtype", "float16"]) == 2
    assert "head.conv.bias has values that float16 cannot hold" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["loud"]


def test_a_failed_write_leaves_nothing(folder, tmp_path, monkeypatch):
    def full(decoder, place, dtype):
        save_decoder(decoder, place, dtype)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_folder, "save_decoder", full)
    assert main(["convert", str(folder / "teacher"), str(tmp_path / "out")]) == 2
    assert os.listdir(tmp_path) == []
