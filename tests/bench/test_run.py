"""The whole way on a tiny teacher and tiny clips: command line in, stored rows and a table out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from bench import records
from bench.__main__ import main
from bench.cache import Cache
from bench.config import compose, to_config, to_run_spec
from bench.data import ClipProtocol
from bench.data.decode import decode_video
from bench.job import Job, Places
from bench.metrics import make_metric
from bench.pin import pin
from bench.prepare import make_student
from bench.records import stored_clips, stored_frames
from bench.run import execute
from bench.schema import Config
from flash_vaed import Teacher, load_decoder, load_teacher
from flash_vaed.distill import Progress
from tests.bench.tiny_place import make_place, seconds_long

QUALITY = {"psnr", "ssim", "flicker"}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def arguments(place) -> list[str]:
    return seconds_long(place)


@pytest.fixture(scope="module")
def study(place, arguments) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The stored tables of a control, a trained and an untrained student, measured once for the tests below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(["multirun", "plan=teacher,paper", "distill=none,full", "prune.ratio=0.5", *arguments]) == 0
    runs, measurements, problems = records.read(place / "results" / "local")
    assert not problems
    return runs, measurements


def rows_of(study, label: str) -> pd.DataFrame:
    runs, measurements = study
    run_id = runs.set_index("label")["run_id"][label]
    return measurements[measurements["run_id"] == run_id]


CONTROL, UNTRAINED, TRAINED = ("plan=teacher distill=none", "plan=paper distill=none", "plan=paper distill=full")


def test_the_control_is_the_teacher_to_the_last_bit(study):
    rows = rows_of(study, CONTROL)
    against_teacher = rows[(rows["metric"] == "psnr") & (rows["against"] == "teacher")]
    against_teacher = against_teacher[against_teacher["value"].notna()]
    assert len(against_teacher) == 10
    assert set(against_teacher["value"]) == {100.0}
    ssim = rows[(rows["against"] == "source") & (rows["metric"] == "ssim") & rows["value"].notna()]
    both = ssim.pivot(index=["clip", "frame"], columns="arm", values="value")
    assert len(both) == 10
    assert (both["student"] == both["teacher"]).all()


@pytest.mark.parametrize("label", [CONTROL, UNTRAINED, TRAINED])
def test_every_metric_is_there_per_clip_and_frame_for_both_arms(study, label):
    rows = rows_of(study, label)
    readable = rows[rows["clip"].isin(["heldout/c.mp4", "heldout/d.mp4", "c.mp4", "d.mp4"])]
    for metric in QUALITY:
        found = readable[readable["metric"] == metric].groupby(["arm", "against"])["clip"].nunique()
        assert found.to_dict() == {("student", "source"): 2, ("student", "teacher"): 2, ("teacher", "source"): 2}
    assert readable[readable["metric"] == "psnr"].groupby(["arm", "against", "clip"])["frame"].apply(list).map(
        lambda frames: frames == [0, 1, 2, 3, 4]
    ).all()  # fmt: skip
    assert len(readable[readable["metric"] == "psnr_untrained"]) == 20


@pytest.mark.faults
def test_an_unreadable_clip_is_named_and_not_replaced(study):
    for label in (CONTROL, TRAINED):
        rows = rows_of(study, label)
        broken = rows[rows["clip"].fillna("").str.endswith("e.mp4")]
        assert set(broken["metric"]) >= QUALITY
        assert broken["value"].isna().all()
        assert broken["note"].str.contains("e.mp4").all()


def test_an_unavailable_metric_says_why_once_per_reference(study):
    rows = rows_of(study, CONTROL)
    lpips = rows[rows["metric"] == "lpips"]
    if lpips["value"].notna().any():
        pytest.skip("LPIPS is available here")
    assert len(lpips) == 2
    assert lpips["note"].str.len().min() > 10


def test_speed_memory_and_cost_are_there_for_both_arms(study):
    rows = rows_of(study, TRAINED)
    whole = rows[rows["stage"].isna()]
    times = whole[whole["metric"] == "decode_time_s"]
    assert times.groupby("arm")["repeat"].apply(list).to_dict() == {"student": [0, 1, 2, 3], "teacher": [0, 1, 2, 3]}
    assert (times["value"] > 0).all()
    for metric in ("parameters", "macs_per_frame"):
        cost = whole[whole["metric"] == metric].set_index("arm")["value"]
        assert 0 < cost["student"] < cost["teacher"]
    assert (whole[whole["metric"] == "peak_memory_bytes"].set_index("arm")["value"] > 0).to_dict() == {
        "student": True, "teacher": True,
    }  # fmt: skip
    stages = rows[(rows["metric"] == "parameters") & rows["stage"].notna() & (rows["arm"] == "student")]
    total = whole[(whole["metric"] == "parameters") & (whole["arm"] == "student")]["value"].item()
    assert stages["value"].sum() == total


def test_the_training_curve_is_stored_and_only_where_there_was_training(study):
    assert rows_of(study, TRAINED)["metric"].str.startswith("loss_").any()
    assert not rows_of(study, UNTRAINED)["metric"].str.startswith("loss_").any()


def test_how_well_the_kept_channels_stand_for_the_lost_is_stored_per_site(study):
    rows = rows_of(study, UNTRAINED)
    explained = rows[rows["metric"] == "r2"]
    bounds = rows[rows["metric"] == "r2_bound"].set_index("stage")["value"]
    assert {"up1.upsampler", "up2.blocks.0.inner", "up3.stream"} <= set(explained["stage"])
    assert set(explained["stage"]) == set(bounds.index)
    assert explained["value"].between(0, 1).all()
    assert (explained.set_index("stage")["value"] <= bounds + 1e-9).all()


def test_untrained_psnr_is_that_of_the_run_without_training(study):
    def psnr(label: str, metric: str) -> list[float]:
        rows = rows_of(study, label)
        return rows[(rows["metric"] == metric) & (rows["arm"] == "student") & rows["value"].notna()]["value"].tolist()

    assert sorted(psnr(TRAINED, "psnr_untrained")) == sorted(psnr(UNTRAINED, "psnr"))
    assert psnr(TRAINED, "psnr") != psnr(UNTRAINED, "psnr")


def test_the_same_command_repeats_nothing_and_prints_the_same_table(study, place, arguments, monkeypatch, capsys):
    monkeypatch.chdir(place)
    before = {path: path.stat().st_mtime_ns for path in (place / "results" / "local").rglob("*.parquet")}
    assert main(["multirun", "plan=teacher,paper", "distill=none,full", "prune.ratio=0.5", *arguments]) == 0
    shown = capsys.readouterr()
    assert "stored already" in shown.err
    assert CONTROL in shown.out
    assert "Results: results/local" in shown.out
    assert {path: path.stat().st_mtime_ns for path in (place / "results" / "local").rglob("*.parquet")} == before
    assert main(["report", "--json"]) == 0
    assert CONTROL in json.dumps(json.loads(capsys.readouterr().out))


def test_another_study_trains_nothing_again(study, place, arguments, monkeypatch):
    monkeypatch.chdir(place)
    trained = {path: path.stat().st_mtime_ns for path in (place / ".cache").rglob("*.safetensors")}
    command = ["run", "plan=paper", "distill=full", "prune.ratio=0.5", *arguments, "label=mine", "paths.results=other"]
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in (place / ".cache").rglob("*.safetensors")} == trained
    runs, measurements, _ = records.read(place / "other")
    assert list(runs["label"]) == ["mine"]
    mine = measurements[(measurements["metric"] == "psnr") & (measurements["arm"] == "student")]["value"].dropna()
    theirs = rows_of(study, TRAINED)
    theirs = theirs[(theirs["metric"] == "psnr") & (theirs["arm"] == "student")]["value"].dropna()
    assert sorted(mine) == sorted(theirs)


def test_another_recipe_is_another_student(study, place, arguments, monkeypatch):
    monkeypatch.chdir(place)
    before = len(list((place / ".cache" / "distilled").iterdir()))
    command = [
        "run",
        "plan=paper",
        "prune.ratio=0.5",
        *arguments,
        "distill.lr=0.5",
        "task=profile",
        "paths.results=third",
    ]
    assert main(command) == 0
    assert len(list((place / ".cache" / "distilled").iterdir())) == before + 3, "one per phase"
    assert set(records.read(place / "third")[1]["metric"]) & {"psnr", "decode_time_s"} == {"decode_time_s"}


def test_grids_over_phases_train_what_they_share_once(study, place, arguments, monkeypatch):
    monkeypatch.chdir(place)
    before = len(list((place / ".cache" / "distilled").iterdir()))
    steps = [f"distill.options.{phase}.steps=1" for phase in ("align", "joint", "refine")]
    short = ["plan=paper", "prune.ratio=0.5", *arguments, "distill.lr=0.7", *steps, "task=distill"]
    for phases in ("align", "align,joint", "align,joint,refine"):
        assert main(["run", *short, f"distill.phases=[{phases}]", "paths.results=grid"]) == 0
    assert len(list((place / ".cache" / "distilled").iterdir())) == before + 3


def test_the_curve_of_the_training_is_stored(study):
    rows = rows_of(study, TRAINED)
    assert set(rows[rows["metric"] == "loss_align"]["stage"]) >= {"up2", "up3", "head"}
    assert set(rows[rows["metric"] == "loss_joint"]["stage"]) == {"pixels", "features"}
    watched = rows[rows["metric"] == "training_refine"]
    assert {"psnr", "gradient norm", "rate"} == set(watched["stage"])
    assert set(watched[watched["stage"] == "psnr"]["unit"]) == {"dB"}


def test_a_run_without_the_weights_of_lpips_says_what_its_loss_lacks(study):
    runs, _ = study
    warnings = json.loads(runs.set_index("label")["warnings_json"][TRAINED])
    assert any("trained without the LPIPS term: LPIPS needs" in line for line in warnings)
    spec = json.loads(runs.set_index("label")["spec_json"][TRAINED])
    assert spec["distill"]["perceptual"] == "off"


def test_a_clip_that_training_could_not_read_is_named_in_the_record(study):
    runs, _ = study
    warnings = json.loads(runs.set_index("label")["warnings_json"][TRAINED])
    assert any("training left out clip" in line and "broken.mp4" in line for line in warnings)


def test_the_distill_task_leaves_a_decoder_that_loads_and_is_the_one_that_was_judged(place, arguments, monkeypatch):
    monkeypatch.chdir(place)
    assert main(["run", "plan=paper", "prune.ratio=0.5", *arguments, "task=distill", "paths.results=kept",
                 "paths.decoders=mine"]) == 0  # fmt: skip
    (folder,) = (place / "mine").glob("paper-*")
    teacher, student = load_teacher(place / "teacher"), load_decoder(folder)
    clip = ClipProtocol(5, 64).fit(decode_video(place / "clips" / "heldout" / "c.mp4")[:5])
    frames = student.decode(teacher.encode(clip[None]), expect=None)[0]
    rows = records.read(place / "kept")[1]
    rows = rows[(rows["metric"] == "psnr") & (rows["against"] == "source") & (rows["arm"] == "student")]
    expected = make_metric("psnr")(clip, frames).tolist()
    found = rows[rows["clip"].str.endswith("c.mp4")].sort_values("frame")["value"].tolist()
    assert found == pytest.approx(expected, abs=1e-3)
    assert "decode_time_s" not in set(records.read(place / "kept")[1]["metric"])
    assert json.loads((folder / "run.json").read_text())["distill"]["phases"] == ["align", "joint", "refine"]


def test_pictures_are_stored_where_they_were_asked_for(place, arguments, monkeypatch):
    monkeypatch.chdir(place)
    results = place / "pictured"
    asked = [*arguments, "plan=teacher", "distill=none", "metrics.names=[psnr]", f"paths.results={results}"]
    assert main(["run", *(a for a in asked if not a.startswith("distill.steps")), "pictures=1"]) == 0
    run_id = next((results / "runs").glob("*.parquet")).stem
    [clip] = stored_clips(results, run_id)
    stored = stored_frames(results, run_id, clip)
    assert {who: len(paths) for who, paths in stored.items()} == {"source": 5, "teacher": 5, "student": 5}
    assert stored["teacher"][2].read_bytes() == stored["student"][2].read_bytes() != stored["source"][2].read_bytes()


def test_two_processes_share_a_training(study, place, arguments, monkeypatch):
    """They see the batch of one process: the same losses in the first step. (Later ones part: Muon computes in
    bfloat16, and where a sum is rounded the other way, directions without a gradient go elsewhere. In double precision
    the students are the same: `tests/flash_vaed/distill/test_training.py`.)
    """
    monkeypatch.chdir(place)
    elsewhere = ["device.processes=2", "paths.results=two", "paths.cache=fresh", "paths.curves=null"]
    assert main(["run", "plan=paper", "distill=full", "prune.ratio=0.5", *arguments, *elsewhere]) == 0

    def first_losses(rows: pd.DataFrame) -> list[float]:
        return rows[rows["metric"] == "loss_align"].sort_values("stage")["value"].tolist()

    found = first_losses(records.read(place / "two")[1])
    assert found == pytest.approx(first_losses(rows_of(study, TRAINED)), rel=1e-4)
    assert len(found) == 6


@pytest.mark.faults
def test_training_goes_on_where_it_was_killed(place, arguments, monkeypatch):
    """A process that dies in the last step leaves a snapshot; the next one starts from it, to the same end."""
    monkeypatch.chdir(place)
    settings = [*arguments, "distill=joint", "distill.steps=6", "prune.ratio=0.5", "task=distill"]
    spec = pin(to_run_spec(to_config(compose(settings), Config)))
    whole = make_student(Job("whole", spec, Places(str(place / "one")), "cpu", 1), *helpers(place / "one"))
    interrupted = Job("killed", spec, Places(str(place / "two")), "cpu", 1, snapshot_s=0.0)
    teacher, cache, say, _ = helpers(place / "two")

    def die(progress: Progress) -> None:
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_student(interrupted, teacher, cache, say, die)
    assert len(list((place / "two" / "snapshots").iterdir())) == 1
    seen: list[int] = []
    resumed = make_student(interrupted, teacher, cache, say, lambda progress: seen.append(progress.done))
    assert seen == [5, 6]
    assert not list((place / "two" / "snapshots").iterdir())
    for name, value in whole.trained.state_dict().items():
        assert torch.equal(value, resumed.trained.state_dict()[name])
    assert resumed.history == whole.history


def helpers(cache: Path) -> tuple[Teacher, Cache, Callable[[str], None], Callable[[Progress], None]]:
    """What `make_student` needs besides its job."""
    return load_teacher(cache.parent / "teacher"), Cache(cache, pytest.fail), lambda step: None, lambda progress: None


def test_curves_are_written_for_tensorboard(study, place):
    run_id = study[0].set_index("label")["run_id"][TRAINED]
    files = list((place / ".cache" / "curves" / run_id).glob("events.out.tfevents.*"))
    assert len(files) == 3, "one per phase"
    assert all(file.stat().st_size > 100 for file in files)


def test_a_teacher_that_changed_after_the_start_is_refused(place, arguments):
    unpinned = to_run_spec(to_config(compose(arguments), Config))
    with pytest.raises(ValueError, match="changed while"):
        execute(Job("x", unpinned, Places(str(place / ".cache")), "cpu", 1), lambda message: None)


@pytest.mark.faults
def test_a_failing_run_gives_code_1_and_the_command_that_repeats_it(place, arguments, monkeypatch, capsys):
    monkeypatch.chdir(place)
    short = [a for a in arguments if not a.startswith(("data.protocol", "paths"))]
    command = ["multirun", "plan=teacher,dense", "distill=none", *short, "data.protocol.frames=33", "paths.results=bad"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "2 of 2 runs failed" in error
    assert "too short" in error
    assert "python -m bench multirun plan=teacher,dense" in error
    assert list(records.read(place / "bad")[0]["status"]) == ["error", "error"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("teacher.path=/no/such", "/no/such"),
        ("data.root=/no/such", "/no/such"),
        ("plan.stages.mid.prune=true", "mid"),
        ("device=cuda", "no CUDA device"),
    ],
)
def test_what_is_not_there_is_one_line_before_any_work(place, arguments, override, words, monkeypatch, capsys):
    if override == "device=cuda" and torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    monkeypatch.chdir(place)
    assert main(["run", *arguments, override, "prune.ratio=0.5", "paths.results=nothing"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (place / "nothing").exists()
