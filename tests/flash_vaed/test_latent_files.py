"""Latents come back as they were written; files that are damaged, hostile or of other things are one line."""

from __future__ import annotations

import os
import pickle
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flash_vaed import CheckpointError, read_latents, save_latents
from tests.flash_vaed.examples import random_latents
from tests.flash_vaed.shared import shared


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["z.safetensors", "z.pt", "z.npy"])
def test_what_is_saved_is_read_back(tmp_path, name, dtype):
    z = random_latents(3).to(dtype)
    save_latents(z, tmp_path / name)
    back = read_latents(tmp_path / name)
    assert back.dtype == (torch.float32 if name == "z.npy" else dtype)
    assert torch.equal(back.float(), z.float())
    assert os.listdir(tmp_path) == [name]


def test_content_counts_not_the_suffix(tmp_path):
    z = random_latents(2)
    save_latents(z, tmp_path / "z.npy")
    (tmp_path / "z.npy").rename(tmp_path / "z.safetensors")
    assert torch.equal(read_latents(tmp_path / "z.safetensors"), z)


def test_dictionaries_are_unwrapped(tmp_path):
    z = random_latents(2)
    torch.save({"anything": z}, tmp_path / "one.pt")
    torch.save({"samples": z, "mask": z > 0, "seed": 3}, tmp_path / "named.pth")
    save_file({"latents": z, "noise": z + 1}, tmp_path / "two.safetensors")
    np.savez(tmp_path / "z.npz", z=z.numpy())
    for name in ("one.pt", "named.pth", "two.safetensors", "z.npz"):
        assert torch.equal(read_latents(tmp_path / name), z), name


def test_one_clip_without_its_batch_axis_gets_one(tmp_path):
    z = random_latents(2)
    torch.save(z[0], tmp_path / "z.pt")
    assert torch.equal(read_latents(tmp_path / "z.pt"), z)


class _Canary:
    """Unpickling this writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.faults
def test_nothing_in_a_file_is_run(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"z": _Canary(str(canary))}, tmp_path / "zip.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(_Canary(str(canary)), protocol=2))
    np.save(tmp_path / "z.npy", np.array([_Canary(str(canary))], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "z.npz", z=np.array([_Canary(str(canary))], dtype=object))
    for name in ("zip.pt", "bare.pt", "z.npy", "z.npz"):
        with pytest.raises(CheckpointError, match=name):
            read_latents(tmp_path / name)
    assert not canary.exists()


@pytest.mark.faults
def test_a_header_of_absurd_length_is_refused(tmp_path):
    file = tmp_path / "z.safetensors"
    file.write_bytes(struct.pack("<Q", 2**60) + b'{"z": {}}')
    with pytest.raises(CheckpointError, match=r"z\.safetensors"):
        read_latents(file)


@pytest.mark.faults
def test_a_tensor_larger_than_its_file_is_refused(tmp_path):
    """Strides of zero: a kilobyte that stands for 4 TB as soon as it is computed with."""
    torch.save({"latents": torch.zeros(1).expand(1, 4, 10**6, 10**3, 10**3)}, tmp_path / "z.pt")
    with pytest.raises(CheckpointError, match=r"z.pt: .* is larger than what is stored of it"):
        read_latents(tmp_path / "z.pt")


@pytest.mark.faults
def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "z.npz", z=np.zeros((1, 4, 70, 1024, 1024), np.uint8))
    assert (tmp_path / "z.npz").stat().st_size < 1 << 20
    with pytest.raises(CheckpointError, match=r"z.npz would unpack to 293601408 bytes"):
        read_latents(tmp_path / "z.npz")


@pytest.mark.faults
@pytest.mark.parametrize("name", ["z.safetensors", "z.pt", "z.npy", "z.npz"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    z, file = random_latents(2), tmp_path / name
    np.savez(file, z=z.numpy()) if name == "z.npz" else save_latents(z, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=name) as caught:
        read_latents(file)
    assert "\n" not in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (torch.zeros(4, 4), "shape"),
        (torch.zeros(1, 4, 0, 2, 2), "shape"),
        (torch.zeros(1, 4, 1, 2, 2, dtype=torch.uint8), "uint8"),
        (torch.full((1, 4, 1, 2, 2), float("inf")), "16 of 16"),
        ({"a": torch.zeros(1), "b": torch.zeros(1)}, "which are latents"),
        ({"seed": 3}, "0 tensors"),
        ([1, 2], "list"),
    ],
)
def test_other_things_than_latents_are_one_line(tmp_path, content, says):
    torch.save(content, tmp_path / "z.pt")
    with pytest.raises(ValueError, match=says) as caught:
        read_latents(tmp_path / "z.pt")
    assert "\n" not in str(caught.value)


def test_text_and_missing_files_are_refused(tmp_path):
    (tmp_path / "z.pt").write_text("a video, honestly")
    for name, says in (("z.pt", "neither safetensors"), ("none.pt", "no file"), (".", "no file")):
        with pytest.raises(CheckpointError, match=says):
            read_latents(tmp_path / name)


def test_an_unknown_suffix_or_folder_is_refused_before_writing(tmp_path):
    with pytest.raises(ValueError, match="safetensors"):
        save_latents(random_latents(1), tmp_path / "z.mp4")
    with pytest.raises(ValueError, match="no folder"):
        save_latents(random_latents(1), tmp_path / "none" / "z.pt")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    save_latents(random_latents(1), tmp_path / "z.npy")
    old = (tmp_path / "z.npy").read_bytes()

    def full(handle, array):
        handle.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="no space"):
        save_latents(random_latents(2), tmp_path / "z.npy")
    assert (tmp_path / "z.npy").read_bytes() == old
    assert os.listdir(tmp_path) == ["z.npy"]


def test_real_latent_files_are_read():
    wan, cog = (read_latents(shared(f"latents/{name}")) for name in ("test_latents_wan.pth", "cogvideox_encoded.pt"))
    assert (wan.shape, wan.dtype, wan.device.type) == ((1, 16, 16, 40, 64), torch.bfloat16, "cpu")
    assert (cog.shape, cog.dtype) == ((1, 16, 13, 60, 90), torch.float16)
