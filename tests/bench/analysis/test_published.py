"""The papers' numbers are stored as printed, and a broken table is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.published import COLUMNS, load_published, published_table

RESULTS = Path(__file__).parents[3] / "results"


def test_the_paper_s_table_is_stored_as_printed():
    rows = load_published(RESULTS)
    assert list(rows) == COLUMNS
    assert (rows["source"] != "").all()
    assert (rows["protocol"] != "").all()
    assert not rows.duplicated().any()
    readme = rows[rows["source"].str.contains("README of Aoko955")]
    assert len(readme) == 30
    table = published_table(readme).set_index("decoder")
    flash = table.loc["Flash-VAED-Wan 2.1"]
    assert (flash["psnr"], flash["ssim"], flash["fps RTX 5090D"], flash["fps Jetson Orin"]) == (
        37.61,
        0.9614,
        118.77,
        3.7,
    )
    assert len(table) == 6
    assert table.notna().all(axis=None)


def test_stages_are_no_columns_of_the_table():
    table = published_table(load_published(RESULTS))
    assert not [name for name in table if name.startswith("stage_time")]
    assert list(table)[-2:] == ["source", "protocol"]


def test_printed_ratios_are_the_paper_s_claims():
    """96.9 % of the PSNR at 5.7 times the speed (LTX-Video), 6.2 times for Wan 2.1."""
    rows = (
        load_published(RESULTS)
        .query("source.str.contains('README of Aoko955')")
        .set_index(["decoder", "dataset", "device", "metric"])["value"]
        .sort_index()
    )
    psnr = [rows[name, "UCF-101", "", "psnr"] for name in ("Flash-VAED-LTX", "LTX-Video")]
    fps = [rows[name, "UCF-101", "RTX 5090D", "fps"] for name in ("Flash-VAED-Wan 2.1", "Wan 2.1")]
    assert round(100 * psnr[0] / psnr[1], 1) == 96.9
    assert round(fps[0] / fps[1], 2) == 6.16


def test_no_published_folder_is_no_rows(tmp_path):
    assert load_published(tmp_path).empty


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "", f"{','.join(COLUMNS)}\nx,x,x,x,x,x,x,fast,x\n"])
def test_another_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "odd.csv").write_text(content)
    with pytest.raises(ValueError, match=r"odd\.csv"):
        load_published(tmp_path)
