"""What is missing is named with the command that gets it."""

from __future__ import annotations

import sys

from bench.__main__ import main
from bench.vbench2 import findings
from bench.vbench2.dimensions import DIMENSIONS
from bench.vbench2.weights import WEIGHTS
from tests.bench.vbench2.fake import make_root


def test_every_dimension_needs_weights_that_are_described():
    for key, row in DIMENSIONS.items():
        assert row.weights, key
        assert set(row.weights) <= WEIGHTS.keys(), key


def test_weights_are_found_where_vbench_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("VBENCH2_CACHE_DIR", str(tmp_path))
    weight = WEIGHTS["anomaly detectors"]
    assert len(weight.missing()) == 3
    for name in ("human", "face", "hand"):
        (tmp_path / "anomaly_detector").mkdir(exist_ok=True)
        (tmp_path / "anomaly_detector" / f"{name}.pth").write_bytes(b"" if name == "hand" else b"x")
    assert weight.missing() == [tmp_path / "anomaly_detector" / "hand.pth"]
    assert str(tmp_path / "anomaly_detector" / "hand.pth") in weight.how()
    (tmp_path / "Qwen" / "Qwen2.5-7B-Instruct").mkdir(parents=True)
    assert WEIGHTS["Qwen2.5-7B-Instruct"].missing()  # an empty folder


def test_the_report_names_what_is_missing_and_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VBENCH2_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(findings, "COMMON_PACKAGES", ("json",))
    monkeypatch.setattr(
        findings, "_needed_by", lambda: {"no_such_package": ["Camera_Motion"], "mmcv": ["Human_Anatomy"]}
    )
    root = make_root(tmp_path / "root")
    assert main(["vbench2", "doctor", "--root", str(root), "--python", sys.executable]) == 1
    lines = capsys.readouterr().out.splitlines()
    said = {tuple(line.split()[:3]): line for line in lines}
    assert ("ok", "package", "json") in said
    assert "pip install no_such_package" in said["missing", "package", "no_such_package"]
    assert "for Camera_Motion" in said["missing", "package", "no_such_package"]
    assert "huggingface-cli download Qwen/Qwen2.5-7B-Instruct" in said["missing", "weights", "Qwen2.5-7B-Instruct"]
    assert any("210 GB" in line for line in lines)
    assert not (tmp_path / "cache").exists()


def test_a_broken_checkout_and_interpreter_are_findings(tmp_path, capsys):
    assert main(["vbench2", "doctor", "--root", str(tmp_path), "--python", str(tmp_path / "python")]) == 1
    out = capsys.readouterr().out
    assert "git clone" in out
    assert "is no program" in out
