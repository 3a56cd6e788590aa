"""Tensors are read from sound files alone; what runs code, lies about itself or would fill the memory is one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from flash_vaed import CheckpointError, load_decoder
from tests.flash_vaed.examples import random_decoder


def is_one_line(error: pytest.ExceptionInfo) -> bool:
    return "\n" not in str(error.value)


class Payload:
    """A pickle that writes a file when it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.write_text, (self.canary, "ran")


@pytest.mark.faults
def test_a_pickle_that_runs_code_is_refused(tmp_path):
    torch.save({"weight": Payload(tmp_path / "canary")}, tmp_path / "model.pth")
    with pytest.raises(
        CheckpointError, match=r"model.pth is damaged, or holds more than tensors and could run code"
    ) as e:
        load_decoder(tmp_path / "model.pth")
    assert is_one_line(e)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, torch.zeros(2)])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="holds no dictionary of tensors but a"):
        load_decoder(tmp_path / "model.pth")


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_archive_is_refused(tmp_path, share):
    torch.save(random_decoder().state_dict(), tmp_path / "model.pth")
    whole = (tmp_path / "model.pth").read_bytes()
    (tmp_path / "model.pth").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"model.pth") as error:
        load_decoder(tmp_path / "model.pth")
    assert is_one_line(error)


@pytest.mark.faults
def test_a_header_of_absurd_length_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match=r"cannot read .*model.safetensors"):
        load_decoder(tmp_path / "model.safetensors")


def safetensors_file(path: Path, entries: dict[str, Any], data: bytes) -> Path:
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def entry(begin: int, end: int, shape: tuple[int, ...] = (2,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.faults
@pytest.mark.parametrize(
    "entries",
    [
        {"a": entry(0, 8), "b": entry(4, 12)},
        {"a": entry(0, 800)},
        {"a": entry(8, 0)},
        {"a": entry(0, 8, (2**40,))},
        {"a": entry(0, 8, (2**63, 2**63))},
        {"a": entry(0, 8, dtype="F31")},
        {"a": {"dtype": "F32"}},
        {"a": 3},
    ],
    ids=["overlapping", "beyond the end", "backwards", "wrong size", "overflow", "no type", "half an entry", "none"],
)
def test_a_header_that_lies_is_refused(tmp_path, entries):
    file = safetensors_file(tmp_path / "model.safetensors", entries, bytes(16))
    with pytest.raises(CheckpointError, match=r"cannot read .*model.safetensors") as error:
        load_decoder(file)
    assert is_one_line(error)


@pytest.mark.faults
def test_a_tensor_larger_than_its_file_is_refused(tmp_path):
    """Strides of zero: a kilobyte that stands for 4 TB as soon as it is computed with."""
    torch.save({"weight": torch.zeros(1).expand(10**12)}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"weight of shape \(1000000000000,\) is larger than what is stored"):
        load_decoder(tmp_path / "model.pth")


@pytest.mark.faults
@pytest.mark.parametrize("content", [torch.eye(3).to_sparse(), torch.zeros(10**6, device="meta")])
def test_tensors_of_other_kinds_are_refused(tmp_path, content):
    torch.save({"weight": content}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"model.pth"):
        load_decoder(tmp_path / "model.pth")


@pytest.mark.faults
def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(300 << 20))
    assert (tmp_path / "model.pth").stat().st_size < 1 << 20
    with pytest.raises(CheckpointError, match=r"would unpack to 314572800 bytes"):
        load_decoder(tmp_path / "model.pth")


@pytest.mark.faults
def test_an_exported_program_is_refused(tmp_path):
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), tmp_path / "model.pt2")
    with pytest.raises(CheckpointError, match=r"model.pt2") as error:
        load_decoder(tmp_path / "model.pt2")
    assert is_one_line(error)
