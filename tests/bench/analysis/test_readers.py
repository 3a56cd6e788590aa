"""What the dashboard's pages compute: curves, anatomy, frames, pipelines, configurations, files, labels, areas."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import analysis, records
from bench.analysis import end_to_end, vbench2
from bench.analysis.anatomy import anatomy
from bench.analysis.arm_rows import arm_rows
from bench.analysis.configuration import configuration, difference
from bench.analysis.export import latex_text, parquet_bytes
from bench.analysis.frames import per_frame, worst_frames
from bench.analysis.labels import CHARACTER, LINE, PLACES, place_labels
from bench.analysis.pareto import hypervolume
from bench.analysis.published import load_published, published_points
from bench.analysis.training import budget, curves
from bench.analysis.votes import COLUMNS, tally
from tests.synthetic_results import comparison, generation, make_run, scored, store, trained_run

ROOT = Path(__file__).parents[3]


def load(folder, *runs):
    return analysis.load(store(folder, *runs))


def test_curves_keep_phase_term_and_step(tmp_path):
    table = curves(load(tmp_path, trained_run("t")))
    assert set(table["phase"]) == {"align", "joint"}
    assert set(table[table["kind"] == "watched"]["term"]) >= {"psnr", "weight of mid"}
    joint = table[(table["phase"] == "joint") & (table["term"] == "pixels")]
    assert list(joint["step"]) == [20, 40, 60]
    assert curves(load(tmp_path / "none", make_run("r"))).empty


def test_a_budget_curve_joins_runs_that_differ_in_steps_and_seed(tmp_path):
    runs = []
    for steps, psnr in ((30, 25.0), (120, 28.0)):
        for seed in (0, 1):
            row, rows = make_run(f"r{steps}{seed}", label=f"random-{steps} seed={seed}", psnr=psnr + seed)
            spec = json.loads(row["spec_json"]) | {"seed": seed}
            spec["distill"]["steps"] = steps
            runs.append((row | {"spec_json": json.dumps(spec)}, rows))
    table = budget(analysis.summarise(load(tmp_path, *runs)), "psnr_source")
    assert list(table["curve"].unique()) == ["quickstart: random"]
    assert list(table["value"]) == pytest.approx([25.5, 28.5])
    assert list(table["runs"]) == [2, 2]
    assert (table["high"] - table["low"]).to_list() == pytest.approx([1.0, 1.0])


def test_anatomy_has_operator_width_and_counted_costs(tmp_path):
    row, rows = make_run("r", ratio=0.25)
    for arm, stage, macs in (("teacher", "mid", 4e9), ("student", "mid", 1e9), ("student", "up3", 2e9)):
        rows.append(records.measurement("r", arm, "macs_per_frame", macs, unit="MAC/frame", higher_is_better=False,
                                        stage=stage))  # fmt: skip
    table = anatomy(load(tmp_path, (row, rows))).set_index(["arm", "stage"])
    assert table.loc[("student", "up3"), ["operator", "width"]].to_list() == ["conv2d", "0.25 of the channels"]
    assert table.loc[("teacher", "mid"), "operator"] == "as the teacher's"
    assert table.loc[("student", "up3"), "macs_per_frame"] == 2e9
    assert np.isnan(table.loc[("student", "mid"), "seconds"])


def test_the_worst_frame_comes_first_with_the_teachers_number(tmp_path):
    row, rows = make_run("r")
    worst = next(r for r in rows if r["metric"] == "psnr" and r["arm"] == "student" and r["clip"] == "bunny")
    worst["value"] = 5.0
    table = worst_frames(per_frame(load(tmp_path, (row, rows))), "psnr", "source")
    first = table.iloc[0]
    assert (first["clip"], first["frame"], first["value"]) == ("bunny", 0, 5.0)
    assert first["gap"] == pytest.approx(5.0 - first["teacher"])
    assert table["value"].is_monotonic_increasing
    assert worst_frames(per_frame(load(tmp_path / "none", make_run("q", metrics=False))), "psnr", "source").empty


def test_arms_become_rows_with_their_decoder(tmp_path):
    rows = arm_rows(load(tmp_path, comparison("c"))).set_index("label")
    assert rows.loc["teacher", "kind"] == "baseline"
    assert rows.loc["fast", ["plan", "kind"]].to_list() == ["student-x", "arm"]
    assert rows.loc["fast", "speedup"] == pytest.approx(4.0, rel=0.01)
    assert rows.loc["fast", "fps"] == pytest.approx(9 / 0.1, rel=0.01)
    assert arm_rows(load(tmp_path / "none", make_run("r"))).empty


def test_a_pipeline_is_bounded_by_what_is_not_decoding(tmp_path):
    table = end_to_end.table(load(tmp_path, generation("g"))).set_index("arm")
    assert list(table.index) == ["teacher", "student"]
    assert table.loc["teacher", "speedup"] == pytest.approx(1.0)
    assert table.loc["teacher", "amdahl_ceiling"] == pytest.approx(10 / 6, rel=0.02)
    assert table.loc["student", "speedup"] == pytest.approx(10 / 7, rel=0.02)
    assert table.loc["student", "amdahl"] == pytest.approx(10 / 7, rel=0.02)
    assert end_to_end.table(load(tmp_path / "none", make_run("r"))).empty


def test_scores_of_every_stored_run_are_one_table(tmp_path):
    table = vbench2.tables(load(tmp_path, scored("v"), make_run("r"))).set_index(["name", "arm"])
    assert table.loc[("Human_Anatomy", "student"), "delta"] == pytest.approx(-0.1)
    assert table.loc[("Human_Anatomy", "teacher"), "videos"] == 4
    assert set(table["against"]) == {"teacher"}
    assert vbench2.tables(load(tmp_path / "none", make_run("r"))).empty


def test_arms_of_generated_videos_stand_beside_their_scores(tmp_path):
    results = load(tmp_path, generation("g"), scored("v"))
    rows = arm_rows(results).set_index("label")
    assert rows.loc["student", "end_to_end_speedup"] == pytest.approx(10 / 7, rel=0.02)
    assert rows.loc["student", "decode_time_ms"] == pytest.approx(1e3, rel=0.01)
    assert rows.loc["student", "vbench2_All"] == pytest.approx(0.715)
    assert rows.loc["teacher", "kind"] == "baseline"
    assert {"end_to_end_s", "vbench2_All", "vbench2_total"} <= set(analysis.columns_of(results))
    assert "vbench2_All" not in arm_rows(load(tmp_path / "other", generation("h"), scored("v")))


def test_two_configurations_differ_where_they_do():
    one, two = (make_run("a", ratio=ratio)[0] for ratio in (0.5, 0.25))
    table = difference(one, two)
    assert table.to_dict("records") == [{"key": "prune.ratio", "one": "0.5", "other": "0.25"}]
    assert configuration(one)["plan.mid.operator"] == "depthwise3d"
    assert configuration(one | {"spec_json": "[1]", "packages_json": '"x"'})["study"] == "quickstart"


def test_files_hold_the_table():
    table = pd.DataFrame({"label": ["a_b & 50 % \\x", None], "value": [1.23456, np.nan]})
    text = latex_text(table)
    assert r"a\_b \& 50 \% \textbackslash{}x & 1.235 \\" in text
    assert r"-- & -- \\" in text
    assert text.startswith(r"\begin{tabular}{lr}")
    assert pd.read_parquet(io.BytesIO(parquet_bytes(table)))["value"].iloc[0] == 1.23456


def test_labels_cover_neither_each_other_nor_a_point():
    draw = np.random.default_rng(0)
    x, y = draw.uniform(0, 1, 25), draw.uniform(0, 1, 25)
    others, size = draw.uniform(0, 1, (30, 2)), (400.0, 220.0)
    texts = [f"variant {n}" for n in range(25)]
    places = place_labels(x, y, texts, others, size)
    points = np.concatenate([np.stack([x, y], axis=1), others])
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    pixels = (points - low) / span * size
    pixels[:, 1] = size[1] - pixels[:, 1]
    boxes = []
    for text, place, at in zip(texts, places, pixels, strict=False):
        if place:
            across, down = PLACES[place]
            left, top = at[0] + across * CHARACTER * len(text), at[1] + down * LINE
            boxes.append((left, top, left + CHARACTER * len(text), top + LINE))
    assert 10 <= len(boxes) < 25, "in a crowd some are left out"
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = one[2] - 8 <= other[0] or other[2] - 8 <= one[0] or one[3] - 8 <= other[1] or other[3] - 8 <= one[1]
            assert apart
    assert place_labels([], [], [], np.empty((0, 2)), size) == []
    assert place_labels([1.0], [1.0], ["alone"], np.empty((0, 2)), size) == ["top right"]


def test_hypervolume_is_the_area_that_points_beat():
    frame = pd.DataFrame({"speedup": [1.0, 2.0, 3.0, 1.0], "psnr_source": [30.0, 28.0, 20.0, 20.0], "status": "ok"})
    # a unit square of 2 x 10: (1, 30) covers no width, (2, 28) covers 0.5 x 0.8, (3, 20) no height
    assert hypervolume(frame, frame, "speedup", "psnr_source") == pytest.approx(0.4)
    more = pd.concat([frame, pd.DataFrame({"speedup": [2.5], "psnr_source": [24.0], "status": ["ok"]})])
    assert hypervolume(more, more, "speedup", "psnr_source") == pytest.approx(0.4 + 0.25 * 0.4), "overlap counts once"
    assert hypervolume(frame.iloc[:1], frame, "speedup", "psnr_source") == pytest.approx(0.0)
    assert hypervolume(frame.iloc[:0], frame, "speedup", "psnr_source") is None
    assert hypervolume(frame, frame.iloc[:1], "speedup", "psnr_source") is None, "a point has no area"
    assert hypervolume(frame, frame, "speedup", "ssim_source") is None


def test_published_points_name_their_device():
    rows = load_published(ROOT / "results")
    points = published_points(rows, "fps", "psnr_source")
    row = points[points["name"] == "Flash-VAED-Wan 2.1, RTX 5090D"].iloc[0]
    assert (row["x"], row["y"]) == (118.77, 37.61)
    assert len(points) == len(set(points["name"])) >= 12
    assert published_points(rows, "parameters", "psnr_source").empty


def test_votes_are_counted_with_an_interval():
    votes = pd.DataFrame([("t", "a", "b", "c", "a"), ("t", "b", "a", "c", "a"), ("t", "a", "b", "c", "tie")],
                         columns=COLUMNS)  # fmt: skip
    (row,) = tally(votes).to_dict("records")
    assert (row["one"], row["votes"], row["ties"], row["share"]) == ("a", 3, 1, 1.0)
    assert row["low"] == pytest.approx(0.342, abs=0.001), "two of two prove little"
    assert tally(votes.iloc[:0]).empty
