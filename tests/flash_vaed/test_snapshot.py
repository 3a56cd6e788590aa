"""A snapshot is whole or absent, and reading one never runs what is inside."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from flash_vaed import snapshot as module
from flash_vaed.snapshot import load_snapshot, save_snapshot


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def test_a_state_comes_back(tmp_path):
    path = tmp_path / "new" / "snapshot.pt"
    state = {
        "steps": 3,
        "weights": {"w": torch.arange(3.0)},
        "curve": [(1, 0.5)],
        "generator": torch.Generator().get_state(),
    }
    save_snapshot(path, state)
    loaded = load_snapshot(path)
    assert loaded is not None
    assert loaded.keys() == state.keys()
    assert loaded["curve"] == [(1, 0.5)]
    assert torch.equal(loaded["weights"]["w"], torch.arange(3.0))
    assert [file.name for file in path.parent.iterdir()] == ["snapshot.pt"]


def test_no_snapshot_is_none(tmp_path):
    assert load_snapshot(tmp_path / "snapshot.pt") is None


@pytest.mark.faults
def test_a_writer_that_dies_leaves_the_old_snapshot(tmp_path, monkeypatch):
    path = tmp_path / "snapshot.pt"
    save_snapshot(path, {"steps": 1})

    def die(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("flash_vaed.whole_file.os.fsync", die)
    with pytest.raises(KeyboardInterrupt):
        save_snapshot(path, {"steps": 2})
    assert load_snapshot(path) == {"steps": 1}


def test_two_writers_at_once_leave_a_whole_snapshot(tmp_path, monkeypatch):
    """The second begins and ends while the first is half through its file."""
    path, save = tmp_path / "snapshot.pt", torch.save

    def interleaved(state, file):
        file.write_bytes(b"half of the first")
        monkeypatch.setattr(module.torch, "save", save)
        save_snapshot(path, {"by": "second"})
        save(state, file)

    monkeypatch.setattr(module.torch, "save", interleaved)
    save_snapshot(path, {"by": "first", "weights": torch.arange(1000.0)})
    assert load_snapshot(path)["by"] == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["snapshot.pt"]


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("layout", ["plain pickle", "torch file"])
def test_code_in_a_snapshot_is_refused_and_not_run(tmp_path, layout):
    path, marker = tmp_path / "snapshot.pt", tmp_path / "marker"
    if layout == "torch file":
        torch.save({"recipe": Trap(marker)}, path)
    else:
        path.write_bytes(pickle.dumps({"recipe": Trap(marker)}))
    with pytest.raises(ValueError, match=r"snapshot.pt is not a readable snapshot; delete it to start over"):
        load_snapshot(path)
    assert not marker.exists()
    torch.load(path, weights_only=False) if layout == "torch file" else pickle.loads(path.read_bytes())
    assert marker.exists(), "the trap does not work, so it proves nothing"


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["empty", "text", "half", "noise"])
def test_a_damaged_snapshot_is_one_clear_line(tmp_path, damage):
    path = tmp_path / "snapshot.pt"
    save_snapshot(path, {"weights": torch.ones(1000)})
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"hello world\n", "half": whole[:2000], "noise": bytes(range(256))}[damage])
    with pytest.raises(ValueError, match=r"snapshot.pt is not a readable snapshot; delete it") as error:
        load_snapshot(path)
    assert "\n" not in str(error.value)


def test_another_kind_of_torch_file_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "snapshot.pt")
    with pytest.raises(ValueError, match="not a snapshot but a list"):
        load_snapshot(tmp_path / "snapshot.pt")
