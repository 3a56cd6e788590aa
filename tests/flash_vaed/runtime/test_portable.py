"""Exported graphs give the decoder's frames when another runtime plays them, state in and out by name."""

from __future__ import annotations

import json
import stat

import pytest
import torch

from flash_vaed import StagePlan, save_decoder
from flash_vaed.__main__ import main
from flash_vaed.families.ltx import ltx_spec
from flash_vaed.families.wan import wan_spec
from flash_vaed.runtime import RuntimeOptions, optimize
from flash_vaed.runtime.portable import GraphStream, export_graphs
from flash_vaed.tensors import CheckpointError
from tests.flash_vaed.examples import FOUR_CHANNELS, random_decoder, random_latents
from tests.flash_vaed.runtime.test_rewrites import ALL

EVERY = (*ALL, "depthwise", "norms")
SPEC = wan_spec(8, (1, 2), 1, (True,), FOUR_CHANNELS).with_stages(
    mid=StagePlan("depthwise3d", 16, 2, attention=True), up1=StagePlan("conv2d", 8, 1, shortcut="always")
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("graphs")
    export_graphs(optimize(random_decoder(SPEC), RuntimeOptions(rewrites=EVERY, channels_last=True)), folder, 8, 6)
    return folder


def test_onnxruntime_gives_the_frames_of_the_stream(exported):
    z = random_latents(5, 4, 3)
    frames = GraphStream(exported).decode(z)
    assert (frames - random_decoder(SPEC).decode(z)).abs().max() < 1e-3


def test_inputs_and_outputs_carry_the_names_of_their_memory(exported):
    import onnxruntime

    document = json.loads((exported / "graphs.json").read_text())
    session = onnxruntime.InferenceSession(str(exported / "steady.onnx"), providers=["CPUExecutionProvider"])
    slots = document["graphs"]["steady"]["slots_in"]
    assert [given.name for given in session.get_inputs()] == ["z", *slots]
    assert [made.name for made in session.get_outputs()] == ["frames", *(f"next.{slot}" for slot in slots)]
    assert "stages.mid.blocks.0.conv1" in slots


def test_the_graphs_hold_no_operator_of_ours(exported):
    import onnx

    for name in ("first", "steady"):
        domains = {node.domain for node in onnx.load(exported / f"{name}.onnx").graph.node}
        assert domains <= {"", "ai.onnx"}


def test_other_lengths_and_sizes_are_refused(exported):
    with pytest.raises(ValueError, match="these graphs take"):
        GraphStream(exported).decode(random_latents(2, 5, 3))


def test_a_library_of_aotinductor_gives_the_same_frames(tmp_path):
    decoder = random_decoder(SPEC)
    export_graphs(
        optimize(decoder, RuntimeOptions(rewrites=EVERY, channels_last=True)), tmp_path, 8, 6, chunk=2, kind="aot"
    )
    z = random_latents(5, 4, 3)
    assert (GraphStream(tmp_path).decode(z) - decoder.decode(z)).abs().max() < 1e-3


def test_a_decoder_that_looks_ahead_is_refused(tmp_path):
    decoder = random_decoder(ltx_spec((8,), (1, 1), (True,), patch=1, latents=FOUR_CHANNELS))
    with pytest.raises(ValueError, match="looks ahead"):
        export_graphs(decoder, tmp_path, 8, 8)


def test_what_is_no_export_is_refused(tmp_path):
    (tmp_path / "graphs.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no exported graphs"):
        GraphStream(tmp_path)
    (tmp_path / "graphs.json").write_text('{"format": 99}')
    with pytest.raises(CheckpointError, match="format 99"):
        GraphStream(tmp_path)


def test_the_command_writes_a_folder_that_engines_takes(tmp_path, capsys):
    pytest.importorskip("onnxscript")
    save_decoder(random_decoder(SPEC), tmp_path / "decoder")
    sizes = ["--height", "8", "--width", "8", "--dtype", "float16", "--device", "cpu"]
    assert main(["export", str(tmp_path / "decoder"), str(tmp_path / "graphs"), *sizes]) == 0
    assert json.loads((tmp_path / "graphs" / "graphs.json").read_text())["dtype"] == "float16"
    trtexec = tmp_path / "trtexec"
    trtexec.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n')
    trtexec.chmod(trtexec.stat().st_mode | stat.S_IXUSR)
    assert main(["engines", str(tmp_path / "graphs"), "--trtexec", str(trtexec)]) == 0
    first, steady = (tmp_path / "called").read_text().splitlines()
    assert f"--onnx={tmp_path}/graphs/first.onnx" in first
    assert "--fp16" in steady
    trtexec.write_text("#!/bin/sh\nexit 3\n")
    assert main(["engines", str(tmp_path / "graphs"), "--trtexec", str(trtexec)]) == 2
    assert "exit code 3" in capsys.readouterr().err


def test_engines_needs_graphs_and_a_builder(tmp_path, capsys, monkeypatch):
    assert main(["engines", str(tmp_path), "--show"]) == 2
    assert "no exported graphs" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["engines", str(tmp_path)]) == 2
    assert "no trtexec" in capsys.readouterr().err


def test_float16_tracing_needs_no_float16_arithmetic(tmp_path):
    """Shapes are found without computing, so a laptop can export for a card."""
    pytest.importorskip("onnxscript")
    half = optimize(random_decoder(SPEC), RuntimeOptions("float16"))
    paths = export_graphs(half, tmp_path, 8, 8)
    assert [path.name for path in paths] == ["first.onnx", "steady.onnx", "graphs.json"]
    assert GraphStream(tmp_path).dtype == torch.float16
