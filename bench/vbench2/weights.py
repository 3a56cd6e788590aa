"""The weights that VBench-2.0's dimensions load: where its code looks for them, and what puts them there.

Paths and addresses are those of `vbench2/utils.py` and `vbench2/human_identity.py`. None of the 18 dimensions runs
without a download.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Weight:
    """One download. paths: every file or folder that must be there. command: gets it; `{cache}` and `{hub}` are set."""

    name: str
    paths: tuple[str, ...]
    command: str

    def missing(self) -> list[Path]:
        """What is not there; an empty folder or file counts as missing."""
        found = (Path(path.format(cache=cache_folder(), hub=hub_folder())) for path in self.paths)
        return [path for path in found if not _filled(path)]

    def how(self) -> str:
        """The command for this machine."""
        return self.command.format(cache=cache_folder(), hub=hub_folder())


def cache_folder() -> Path:
    """`VBENCH2_CACHE_DIR`, else `~/.cache/vbench2`, as VBench has it."""
    return Path(os.environ.get("VBENCH2_CACHE_DIR") or Path.home() / ".cache" / "vbench2")


def hub_folder() -> Path:
    """Where `torch.hub` keeps what it loads."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch"
    return Path(home) / "hub"


def _drive(number: str, path: str) -> str:
    return f"mkdir -p $(dirname {path}) && gdown {number} -O {path}"


def _hugging_face(repository: str) -> Weight:
    path = f"{{cache}}/{repository}"
    return Weight(repository.split("/")[1], (path,), f"huggingface-cli download {repository} --local-dir {path}")


_YOLO = "{cache}/YOLO-World/yolo_world_v2_xl_obj365v1_goldg_cc3mlite_pretrain-5daf1395.pth"
_DETECTORS = {
    "{cache}/anomaly_detector/human.pth": "1mlSURYOi_vN9ST1wzEhJaVO6-ZoES8UT",
    "{cache}/anomaly_detector/face.pth": "1e2qTjrtsYlkWLql0qj8DqaNZ09KuV8Qo",
    "{cache}/anomaly_detector/hand.pth": "1j3QeAcAtdLe5BFgK-c33UaHV6-iUto0i",
}
_RETINAFACE = "retinaface_resnet50_2020-07-20-f168fae3c.zip"

WEIGHTS: dict[str, Weight] = {
    weight.name: weight
    for weight in (
        _hugging_face("lmms-lab/LLaVA-Video-7B-Qwen2"),
        _hugging_face("Qwen/Qwen2.5-7B-Instruct"),
        Weight(
            "CoTracker2", ("{hub}/facebookresearch_co-tracker_main", "{hub}/checkpoints/cotracker2.pth"),
            "python -c \"import torch; torch.hub.load('facebookresearch/co-tracker', 'cotracker2')\"",
        ),
        Weight(
            "RAFT", ("{cache}/raft_model/models/raft-things.pth",),
            "wget -P {cache}/raft_model https://dl.dropboxusercontent.com/s/4j4z58wuv8o0mfz/models.zip"
            " && unzip -d {cache}/raft_model {cache}/raft_model/models.zip",
        ),
        Weight(
            "RetinaFace", (f"{{hub}}/checkpoints/{_RETINAFACE}",),
            f"wget -P {{hub}}/checkpoints https://github.com/ternaus/retinaface/releases/download/0.01/{_RETINAFACE}",
        ),
        Weight(
            "ArcFace", ("{cache}/arcface/resnet18_110.pth",),
            _drive("1m387vGTQ4GW4I4PQfBsCC-Y9aEp6zjvy", "{cache}/arcface/resnet18_110.pth"),
        ),
        Weight("YOLO-World", (_YOLO,), _drive("1qo-K1kum7yiEwIlN1TWDvABXX6qriUen", _YOLO)),
        Weight(
            "anomaly detectors", tuple(_DETECTORS),
            " && ".join(_drive(number, path) for path, number in _DETECTORS.items()),
        ),
        Weight(
            "instance detector", ("{cache}/instance_anomaly_detector/model",),
            "gdown --folder https://drive.google.com/drive/folders/106rnzZvH-VUKkz8dMPFflD6tqtbSgXwh"
            " -O {cache}/instance_anomaly_detector/model",
        ),
        Weight(
            "VGG19", ("{hub}/checkpoints/vgg19-dcbb9e9d.pth",),
            "wget -P {hub}/checkpoints https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        ),
    )
}  # fmt: skip


def _filled(path: Path) -> bool:
    if path.is_dir():
        return any(path.iterdir())
    return path.is_file() and path.stat().st_size > 0
