"""The papers' numbers are stored as printed, and a broken table is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.published import COLUMNS, load_published, published_table

RESULTS = Path(__file__).parents[3] / "results"


def test_the_paper_s_table_is_stored_as_printed():
    rows = load_published(RESULTS)
    assert list(rows) == COLUMNS
    assert len(rows) == 30
    assert (rows["source"] != "").all()
    table = published_table(rows).set_index("decoder")
    flash = table.loc["Flash-VAED-Wan 2.1"]
    assert (flash["psnr"], flash["ssim"], flash["fps RTX 5090D"], flash["fps Jetson Orin"]) == (
        37.61,
        0.9614,
        118.77,
        3.7,
    )
    assert len(table) == 6
    assert table.notna().all(axis=None)


def test_no_published_folder_is_no_rows(tmp_path):
    assert load_published(tmp_path).empty


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "", f"{','.join(COLUMNS)}\nx,x,x,x,x,x,x,fast,x\n"])
def test_another_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "odd.csv").write_text(content)
    with pytest.raises(ValueError, match=r"odd\.csv"):
        load_published(tmp_path)
