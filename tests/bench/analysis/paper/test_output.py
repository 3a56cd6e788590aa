"""What every figure's files have in common: size, fonts, the same bytes twice, no text beyond the paper."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib

import pandas as pd
import pytest

from bench import analysis
from bench.analysis import paper
from bench.analysis.paper import style
from bench.analysis.paper.base import COLUMN, WIDE
from tests.synthetic_paper import all_runs
from tests.synthetic_results import store

STORED = sorted(set(paper.all_figures()) - {"frames"})
HOSTILE = r"$\frac{a_1}{b}$ \input{x} <b>&%# " + "very long " * 12


def pdf_streams(content: bytes) -> bytes:
    """The uncompressed text of a PDF's objects and streams."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    unpacked = []
    for stream in streams:
        try:
            unpacked.append(zlib.decompress(stream))
        except zlib.error:
            unpacked.append(stream)
    return content + b"\n".join(unpacked)


@pytest.fixture(scope="module")
def numbers(material):
    return {name: paper.find_figure(name).numbers(material) for name in STORED}


@pytest.mark.parametrize("name", STORED)
def test_every_figure_has_its_files(name, numbers, tmp_path):
    figure = paper.find_figure(name)
    paths = paper.write(name, figure, numbers[name], tmp_path)
    assert [path.name for path in paths] == [
        f"{name}.{form}" for form in paper.FORMATS if figure.draw or form in ("csv", "tex")
    ]
    assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(numbers[name]) > 0
    if figure.draw:
        content = (tmp_path / f"{name}.pdf").read_bytes()
        inside = pdf_streams(content)
        assert b"/FontFile2" in inside, "TrueType, embedded"
        assert b"/Type3" not in inside
        assert b"CreationDate" not in inside
        (width,) = {float(box) / 72 for box in re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+)", inside)}
        assert width == pytest.approx(figure.width, abs=0.01)
        assert figure.width in (COLUMN, WIDE)


@pytest.mark.parametrize("name", [name for name in STORED if paper.find_figure(name).draw])
def test_nothing_leaves_the_paper(name, numbers):
    figure = paper.find_figure(name)
    with style.drawing():
        sheet = figure.draw(numbers[name], figure.width)
        style.settle(sheet)
        drawn = sheet.get_tightbbox()
    width, height = sheet.get_size_inches()
    over = 0.01  # inches
    assert min(drawn.x0, drawn.y0) > -over
    assert drawn.x1 < width + over
    assert drawn.y1 < height + over


def test_the_same_numbers_give_the_same_bytes_in_another_process(paper_results, tmp_path):
    written = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "bench", "figures", "speed_quality", "--results", str(paper_results)]
        command += ["--out", str(tmp_path / seed)]
        subprocess.run(
            command, check=True, capture_output=True, env={"PYTHONHASHSEED": seed, "PATH": "", "HOME": "/tmp"}
        )
        written.append({path.name: path.read_bytes() for path in sorted((tmp_path / seed).iterdir())})
    assert len(written[0]) == 4
    assert written[0] == written[1]


def test_svg_is_the_same_twice_and_its_text_is_text(numbers, tmp_path):
    figure = paper.find_figure("stage_latency")
    for folder in ("a", "b"):
        paper.write("x", figure, numbers["stage_latency"], tmp_path / folder, ["svg"], WIDE)
    first, second = ((tmp_path / folder / "x.svg").read_text() for folder in ("a", "b"))
    assert first == second
    assert re.search(r"<text[^>]*>[^<]*teacher", first)


def test_stored_text_is_neither_mathtext_nor_latex(tmp_path):
    """Every name that a run brings is hostile, and every figure is still drawn."""
    runs = []
    for row, rows in all_runs():
        hostile = {**row, "label": HOSTILE, "device_name": HOSTILE}
        runs.append((hostile, [{**r, "stage": f"{r['stage']} {HOSTILE}" if r["stage"] else None} for r in rows]))
    material = paper.Material(analysis.load(store(tmp_path / "results", *runs)))
    for name in (
        "speed_quality",
        "stage_latency",
        "roofline",
        "redundancy",
        "runtime_levers",
        "end_to_end",
        "pruning_ratio",
    ):
        figure = paper.find_figure(name)
        paths = paper.write(name, figure, figure.numbers(material), tmp_path, ["tex", "svg"])
        assert r"\input{x}" not in paths[0].read_text()
        if name in ("speed_quality", "stage_latency", "roofline", "runtime_levers"):
            shown = re.findall(r"<text[^>]*>([^<]*)</text>", paths[1].read_text())
            assert any(r"$\frac{a_1}{b}$" in text for text in shown), f"{name} shows the name of the device"
