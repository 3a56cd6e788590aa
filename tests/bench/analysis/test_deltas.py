"""Differences from a control: pairs, intervals, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from bench import analysis
from bench.analysis.columns import KNOWN
from bench.analysis.deltas import clip_values, deltas, mean_of_pairs, reading, verdict
from bench.analysis.grid import axes_of, grid
from bench.analysis.study import corner_text, read_study, split_label
from tests.synthetic_results import make_run, store


def table_of(folder, *runs, control="base", columns=("psnr_source",)):
    results = analysis.load(store(folder, *runs))
    return deltas(analysis.summarise(results), clip_values(results), control, list(columns))


def seeds(variant: str, *values: float, corner: str = "") -> list:
    name = f"{variant} {corner}".strip()
    return [
        make_run(f"{variant}{corner.replace('=', '')}{seed}", label=f"{name} seed={seed}", psnr=psnr)
        for seed, psnr in enumerate(values)
    ]


def test_pairs_of_one_seed_cancel_what_they_share(tmp_path):
    table = table_of(tmp_path, *seeds("base", 20.0, 25.0, 30.0), *seeds("better", 21.0, 26.0, 31.0))
    (row,) = table.to_dict("records")
    assert row["delta"] == pytest.approx(1.0)
    assert 0.9 < row["low"] <= row["high"] < 1.1, "the seeds' spread of 10 dB is gone"
    assert (row["seeds"], row["clips"], row["paired"]) == (3, 2, True)


def test_without_a_common_seed_there_is_no_interval(tmp_path):
    runs = [make_run("a", label="base seed=0", psnr=20.0), make_run("b", label="other seed=1", psnr=22.0)]
    (row,) = table_of(tmp_path, *runs).to_dict("records")
    assert row["delta"] == pytest.approx(2.0)
    assert np.isnan(row["low"])
    assert not row["paired"]


def test_a_variant_meets_the_control_of_its_own_corner(tmp_path):
    runs = [*seeds("base", 20.0, corner="ratio=0.5"), *seeds("base", 10.0, corner="ratio=0.25"),
            *seeds("other", 21.0, corner="ratio=0.5"), *seeds("other", 13.0, corner="ratio=0.25")]  # fmt: skip
    table = table_of(tmp_path, *runs).set_index("corner")["delta"]
    assert table.to_dict() == pytest.approx({"ratio=0.5": 1.0, "ratio=0.25": 3.0})


def test_timed_numbers_pair_by_seed_alone(tmp_path):
    runs = [make_run("a", label="base", speedup=2.0), make_run("b", label="fast", speedup=3.0)]
    (row,) = table_of(tmp_path, *runs, columns=("speedup",)).to_dict("records")
    assert row["delta"] == pytest.approx(1.0, rel=0.01)
    assert row["clips"] == 1
    assert np.isnan(row["low"])


def test_failed_runs_and_absent_numbers_give_no_row(tmp_path):
    runs = [make_run("a", label="base"), make_run("b", label="lost", status="oom", error="memory")]
    assert table_of(tmp_path, *runs, columns=("psnr_source", "lpips_source", "nonsense")).empty
    assert table_of(tmp_path, *runs, control="nobody").empty


def test_the_interval_is_as_wide_as_the_pairs_say():
    draw = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = mean_of_pairs(draw.normal(0.5, 1.0, size=(12, 1)))
        hits += found.low <= 0.5 <= found.high
    assert 170 <= hits <= 200
    assert np.isnan(mean_of_pairs(np.array([[1.0]])).low)
    again = mean_of_pairs(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert again == mean_of_pairs(np.array([[1.0, 2.0], [3.0, 4.0]])), "the same rows, the same interval"


@pytest.mark.parametrize(
    ("low", "high", "psnr", "time"),
    [(0.1, 0.5, "better", "worse"), (-0.5, -0.1, "worse", "better"), (-0.1, 0.5, "not told apart", "not told apart"),
     (np.nan, np.nan, "no interval", "no interval")],
)  # fmt: skip
def test_a_verdict_needs_an_interval_without_zero_and_knows_the_direction(low, high, psnr, time):
    row = {"delta": (low + high) / 2 if low == low else 0.3, "low": low, "high": high}
    assert verdict(row, KNOWN["psnr_source"]) == psnr
    assert verdict(row, KNOWN["decode_time_ms"]) == time


def test_the_reading_names_what_is_better_and_what_is_not_told_apart(tmp_path):
    runs = [*seeds("base", 20.0, 25.0, 30.0), *seeds("better", 21.0, 26.0, 31.0), *seeds("odd", 21.0, 24.0, 30.0)]
    said = reading(table_of(tmp_path, *runs), KNOWN["psnr_source"], "base")
    assert said[0].startswith("Better than base")
    assert "better +1 [" in said[0]
    assert "odd" in said[1]
    assert "holds zero" in said[1]


def test_labels_are_a_variant_and_a_corner():
    assert split_label("full prune.ratio=0.5 seed=1") == ("full", {"prune.ratio": "0.5", "seed": "1"})
    assert split_label("a=b") == ("run", {"a": "b"})
    assert split_label("paper-1/4") == ("paper-1/4", {})
    assert corner_text({"seed": "1", "x": "2"}) == "x=2"


def test_a_study_says_its_question_where_its_file_does(tmp_path):
    assert read_study("distill_phases").control == "none"
    assert (read_study("distill_phases").question or "").endswith("?")
    for name in ("../secrets", "absent", "", "x" * 300):
        assert read_study(name).question is None
    (tmp_path / "bad.yaml").write_text("study: [1, 2\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "code.yaml").write_text("study: {question: !!python/object/apply:os.getcwd []}\n")
    assert [read_study(name, tmp_path).question for name in ("bad", "list", "code")] == [None] * 3


def test_a_grid_has_the_studys_axes(tmp_path):
    runs = [*seeds("base", 20.0, 22.0, corner="prune.ratio=0.5"), *seeds("base", 10.0, corner="prune.ratio=0.25"),
            *seeds("other", 21.0, corner="prune.ratio=0.5")]  # fmt: skip
    summary = analysis.summarise(analysis.load(store(tmp_path, *runs)))
    assert list(axes_of(summary))[:3] == ["variant", "prune.ratio", "seed"]
    table = grid(summary, "variant", "prune.ratio", "psnr_source")
    assert table.loc["base"].to_dict() == pytest.approx({"0.25": 10.0, "0.5": 21.0})
    assert np.isnan(table.loc["other", "0.25"])
    assert grid(summary, "variant", "nonsense", "psnr_source").empty
