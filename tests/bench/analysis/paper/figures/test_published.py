"""A printed speed is joined with a printed quality of the same source only."""

from __future__ import annotations

from bench.analysis.paper.figures.published import numbers


def test_pairs_are_of_one_source_and_data_set(material):
    frame = numbers(material)
    ltx = frame[frame["decoder"] == "LTX-Video"].set_index("device")["psnr"].to_dict()
    assert ltx == {"RTX 5090D": 33.28, "Jetson Orin": 33.28, "GPU (not named)": 32.40, "iPhone 16 Pro": 32.40}
    taehv = frame[frame["decoder"] == "TAEHV"].iloc[0]
    assert (taehv["fps"], taehv["psnr"], taehv["lpips"]) == (489, 28.96, 0.071)
    assert frame["quality_protocol"].notna().all()
