"""Sound files of every kind that is read here, small, for the fuzz test to damage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from bench import records
from flash_vaed import Teacher, save_latents, save_teacher
from flash_vaed.families.wan import wan_spec
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.snapshot import save_snapshot
from tests.bench.data.conftest import moving_ramp, write_video_file
from tests.flash_vaed.examples import FOUR_CHANNELS, SmoothVideo, random_decoder, random_latents, scramble
from tests.synthetic_results import make_run, store


@dataclass(frozen=True)
class Sound:
    """`file` holds `content` and is damaged; `target` is what the reader is given: the file or a folder around it."""

    file: Path
    target: Path
    content: bytes


def _files(target: Path, *files: Path) -> list[Sound]:
    return [Sound(file, target, file.read_bytes()) for file in files]


def checkpoint(folder: Path) -> list[Sound]:
    """A folder of ours; one of diffusers, its weights file alone, and the same weights as archives of PyTorch."""
    encoder = PatchEncoder(4, overlap=2)
    encoder.fit([next(SmoothVideo())])
    decoder = random_decoder(wan_spec(2, (1, 1, 1, 1), 1, latents=FOUR_CHANNELS))
    own = folder / "own"
    save_teacher(Teacher("small", decoder, encoder.eval()), own)
    found = _files(
        own, *(own / f"{part}.{kind}" for part in ("decoder", "encoder") for kind in ("json", "safetensors"))
    )
    vae = _diffusers_vae()
    if vae is not None:
        vae.save_pretrained(folder / "theirs")
        weights = folder / "theirs" / "diffusion_pytorch_model.safetensors"
        found += _files(folder / "theirs", folder / "theirs" / "config.json", weights)
        for name, new in (("zip.pth", True), ("legacy.pth", False)):
            archive = folder / "theirs" / name  # the config beside it says what the weights do not
            torch.save(vae.state_dict(), archive, _use_new_zipfile_serialization=new)
            found += _files(archive, archive)
    return found


def _diffusers_vae() -> Any:
    try:
        from diffusers import AutoencoderKLWan
    except ImportError:
        return None
    statistics = {"latents_mean": [0.1] * 4, "latents_std": [1.5] * 4}
    return scramble(AutoencoderKLWan(base_dim=2, decoder_base_dim=2, z_dim=4, num_res_blocks=1, **statistics))


def latents(folder: Path) -> list[Sound]:
    """Every format that latents come in."""
    z_NCthw = random_latents(2)
    for name in ("z.pt", "z.safetensors", "z.npy"):
        save_latents(z_NCthw, folder / name)
    torch.save({"latents": z_NCthw, "mask": z_NCthw > 0}, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    save_file({"latents": z_NCthw.half(), "noise": z_NCthw}, folder / "two.safetensors")
    np.savez(folder / "z.npz", z=z_NCthw.numpy())
    np.savez_compressed(folder / "small.npz", z=z_NCthw.numpy())
    return [sound for file in sorted(folder.iterdir()) for sound in _files(file, file)]


def clip(folder: Path) -> list[Sound]:
    """Containers and codecs, a few kilobytes each."""
    kinds = {"a.mp4": {}, "b.mkv": {}, "c.avi": {"codec": "mpeg4", "options": {}}, "d.mov": {"pix_fmt": "yuv444p"},
             "e.mpg": {"codec": "mpeg2video", "options": {}}, "f.webm": {"codec": "libvpx-vp9", "options": {}},
             "g.gif": {"codec": "gif", "pix_fmt": "rgb8", "options": {}}}  # fmt: skip
    for name, stream in kinds.items():
        write_video_file(folder / name, moving_ramp(9, 32, 48), **stream)
    return [sound for file in sorted(folder.iterdir()) for sound in _files(file, file)]


def results(folder: Path) -> list[Sound]:
    """A run beside a sound one, and packed runs."""
    store(folder, make_run("good"), make_run("bad", samples=2))
    store(folder / "more", make_run("p1", samples=2), make_run("p2", samples=2))
    assert records.pack([folder / "more"], folder)[0] == 2
    return _files(folder, *(folder / table / name for table in ("runs", "measurements") for name in ("bad.parquet",)),
                  folder / "packed" / "runs.parquet", folder / "packed" / "measurements.parquet")  # fmt: skip


def training(folder: Path) -> list[Sound]:
    """The state of a training that is under way."""
    save_snapshot(folder / "snapshot.pt", {"steps": 3, "weights": {"w": torch.arange(9.0)}, "curve": [(1, 0.5)],
                                           "generator": torch.Generator().get_state()})  # fmt: skip
    return _files(folder / "snapshot.pt", folder / "snapshot.pt")


KINDS = {make.__name__: make for make in (checkpoint, latents, clip, results, training)} | {"video": clip}
