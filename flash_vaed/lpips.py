"""LPIPS v0.1 with AlexNet (Zhang et al., CVPR 2018, richzhang/PerceptualSimilarity): a learned perceptual distance.

The trunk is five convolutions, so it is written out here and neither torchvision nor the lpips package is imported;
only their weight files are read. The heads come with the lpips package, the trunk is torchvision's AlexNet file. It is
looked for in `FLASH_VAED_LPIPS_BACKBONE` or in the torch hub cache, and never downloaded. Other trunk weights are
refused: a distance made with them would not be LPIPS.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from pathlib import Path

import torch
from torch import Tensor, nn

BACKBONE_VARIABLE = "FLASH_VAED_LPIPS_BACKBONE"
BACKBONE_NAME = "alexnet-owt-7be5be79.pth"
BACKBONE_SHA256_START = "7be5be79"
BACKBONE_COMMAND = (
    'python -c "import torch; torch.hub.load_state_dict_from_url('
    f"'https://download.pytorch.org/models/{BACKBONE_NAME}')\""
)
HEADS_COMMAND = "pip install --no-deps lpips"
SMALLEST_FRAME = 32  # pixels; the trunk's last map would be empty below

CHANNELS = (64, 192, 384, 256, 256)
INPUT_SHIFT = (-0.030, -0.088, -0.188)  # ImageNet statistics, for inputs in [-1, 1]
INPUT_SCALE = (0.458, 0.448, 0.450)


def backbone_file(path: str | os.PathLike[str] | None = None) -> Path:
    """AlexNet's weights: `path`, or where the environment variable or the torch hub cache has them."""
    return Path(path or os.environ.get(BACKBONE_VARIABLE) or _cached_backbone())


def lpips_unavailable(backbone: Path) -> str | None:
    """Why there is no LPIPS with these weights, with the command that would mend it; None where there is."""
    if _heads_file() is None:
        return f"LPIPS needs the heads in the lpips package: {HEADS_COMMAND}"
    if not backbone.is_file():
        return f"LPIPS needs the AlexNet weights, absent at {_shown(backbone)}: {BACKBONE_COMMAND}"
    found = _sha256(backbone, backbone.stat().st_mtime_ns)
    if not found.startswith(BACKBONE_SHA256_START):
        wrong = f"{_shown(backbone)} has sha256 {found[:8]}..., not {BACKBONE_SHA256_START}..."
        return f"LPIPS needs torchvision's AlexNet weights; {wrong}: {BACKBONE_COMMAND}"
    return None


def load_lpips(backbone: Path | None = None) -> LpipsNetwork:
    """The network with its weights, frozen; a `ValueError` that says what is missing."""
    file = backbone or backbone_file()
    reason, heads = lpips_unavailable(file), _heads_file()
    if reason is not None or heads is None:
        raise ValueError(reason)
    return LpipsNetwork.from_files(file, heads)


class LpipsNetwork(nn.Module):
    """AlexNet's five feature maps, compared at unit length per pixel and weighed by the heads."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        self.features = nn.ModuleDict(  # torchvision's index of each convolution in AlexNet
            {
                "0": nn.Conv2d(3, first, 11, stride=4, padding=2),
                "3": nn.Conv2d(first, second, 5, padding=2),
                "6": nn.Conv2d(second, third, 3, padding=1),
                "8": nn.Conv2d(third, fourth, 3, padding=1),
                "10": nn.Conv2d(fourth, fifth, 3, padding=1),
            }
        )
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for channels in CHANNELS)
        self.register_buffer("shift", torch.tensor(INPUT_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(INPUT_SCALE).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_files(cls, backbone: Path, heads: Path) -> LpipsNetwork:
        """The network with both weight files loaded strictly."""
        trunk = torch.load(backbone, map_location="cpu", weights_only=True)
        head_weights = torch.load(heads, map_location="cpu", weights_only=True)
        state = {key: value for key, value in trunk.items() if key.startswith("features.")}
        state |= {f"heads.{level}.weight": head_weights[f"lin{level}.model.1.weight"] for level in range(len(CHANNELS))}
        network = cls()
        network.load_state_dict(state)
        return network.eval().requires_grad_(False)

    def forward(self, reference_NCHW: Tensor, candidate_NCHW: Tensor) -> Tensor:
        """Distance of each pair of pictures in [-1, 1], shape (N,)."""
        distance_N = torch.zeros(len(reference_NCHW), device=reference_NCHW.device)
        levels = zip(self.heads, self._maps(reference_NCHW), self._maps(candidate_NCHW), strict=True)
        for head, reference, candidate in levels:
            difference = (_unit_length(reference) - _unit_length(candidate)).square()
            distance_N = distance_N + head(difference).mean(dim=(1, 2, 3))
        return distance_N

    def _maps(self, x_NCHW: Tensor) -> list[Tensor]:
        x = (x_NCHW - self.shift) / self.scale
        maps = []
        for index, convolution in self.features.items():
            if index in ("3", "6"):
                x = nn.functional.max_pool2d(x, kernel_size=3, stride=2)
            x = nn.functional.relu(convolution(x))
            maps.append(x)
        return maps


def _unit_length(features_NCHW: Tensor) -> Tensor:
    length = features_NCHW.square().sum(dim=1, keepdim=True).sqrt()
    return features_NCHW / (length + 1e-10)


def _cached_backbone() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_NAME


def _shown(path: Path) -> str:
    """For people and for stored rows, which say nothing of whose machine it was."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without one
        return str(path)
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _heads_file() -> Path | None:
    """The linear heads inside the installed lpips package, found without importing it."""
    spec = importlib.util.find_spec("lpips")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [Path(folder) / "weights" / "v0.1" / "alex.pth" for folder in folders]
    return next((file for file in files if file.is_file()), None)


@functools.lru_cache(maxsize=4)
def _sha256(path: Path, modified_ns: int) -> str:
    """`modified_ns` makes the cached value expire with the file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
