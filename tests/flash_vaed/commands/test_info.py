"""`info` says what a checkpoint is and what it costs, for people and for programs."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from flash_vaed import DecoderSpec, load_decoder
from flash_vaed.__main__ import main
from flash_vaed.commands._decoders import SPECS
from flash_vaed.cost import decoder_cost

CLIP = ["--frames", "9", "--height", "32", "--width", "64"]


def test_json_is_one_document_with_the_cost_of_the_clip(folder, capsys):
    assert main(["info", str(folder / "teacher"), "--json", *CLIP]) == 0
    document = json.loads(capsys.readouterr().out)
    spec, cost = DecoderSpec.from_json(document["spec"]), decoder_cost(load_decoder(folder / "teacher").spec, 9, 32, 64)
    assert spec == load_decoder(folder / "teacher").spec
    assert document["layout"] == "flash_vaed folder"
    assert (document["parameters"], document["state_bytes"]) == (cost.parameters, cost.state_bytes)
    assert document["macs_per_frame"] == pytest.approx(cost.macs_per_frame)
    for part in ("parameters", "macs_per_frame", "state_bytes"):
        assert sum(costs[part] for costs in document["parts"].values()) == pytest.approx(document[part])


def test_text_names_every_stage_and_the_latent_space(folder, capsys):
    assert main(["info", str(folder / "teacher"), *CLIP]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{part} " in said for part in ("entry", "mid", "up0", "up1", "up2", "up3", "head", "total"))
    assert "test, 4 channels, mean -0.2 to 0.3, std 0.5 to 2" in said


@pytest.mark.parametrize("name", SPECS)
def test_a_built_in_spec_needs_no_file(name, capsys):
    assert main(["info", name, "--json"]) == 0
    assert DecoderSpec.from_json(json.loads(capsys.readouterr().out)["spec"]) == SPECS[name]


def test_a_file_called_like_a_spec_is_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wan2.1").write_text("no weights")
    assert main(["info", "wan2.1"]) == 2
    assert "cannot read wan2.1" in capsys.readouterr().err


def test_weights_of_no_known_layout_are_refused(tmp_path, capsys):
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    assert main(["info", str(tmp_path / "w.safetensors")]) == 2
    assert "of no layout known here" in capsys.readouterr().err
