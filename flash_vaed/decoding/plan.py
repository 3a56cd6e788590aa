"""How a clip is decoded so that it fits: the whole clip, else chunks of fewer and fewer latents, else smaller tiles.

Chunks cost nothing but a little speed; tiles decode their halo twice. So tiles come last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from flash_vaed.decoding.memory import free_bytes, predicted_bytes

if TYPE_CHECKING:
    from flash_vaed.decoder import Decoder

CHUNKS = (16, 8, 4, 2, 1)
SMALLEST_TILE = 4  # latent pixels; a halo several times the tile makes smaller ones pointless
AUTO_SHARE = 0.8  # of the free memory is planned with: predictions may be a fifth too small


@dataclass(frozen=True)
class DecodePlan:
    """`chunk` latents at a time (None: the whole clip), in tiles of `tile` (rows, columns) latent pixels (None: whole
    frames). predicted_bytes: the memory it is expected to take, None where nobody asked.
    """

    chunk: int | None = None
    tile: tuple[int, int] | None = None
    predicted_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk is a positive number of latents or None, not {self.chunk}")
        if self.tile is None:
            return
        if len(self.tile) != 2 or min(self.tile) < 1:
            raise ValueError(
                f"tile is a positive number of latent pixels, a pair (rows, columns) or None, not {self.tile}"
            )

    def __str__(self) -> str:
        latents = "latent" if self.chunk == 1 else "latents"
        said = ["the whole clip at once" if self.chunk is None else f"chunks of {self.chunk} {latents}"]
        if self.tile is not None:
            said.append(f"tiles of {self.tile[0]}x{self.tile[1]} latent pixels")
        if self.predicted_bytes is not None:
            said.append(f"about {in_units(self.predicted_bytes)}")
        return ", ".join(said)

    @property
    def thrifty(self) -> bool:
        """Whether freed memory is given back at once: what was predicted is kept."""
        return self.predicted_bytes is not None

    def smaller(self, t: int, h: int, w: int) -> DecodePlan | None:
        """The next plan in line for latents of this size; None at the end."""
        shorter = [chunk for chunk in CHUNKS if chunk < min(self.chunk or t, t)]
        if shorter:
            return DecodePlan(shorter[0], self.tile)
        rows, columns = self.tile or (h, w)
        side = min(max(rows, columns), max(h, w))
        if side <= SMALLEST_TILE:
            return None
        halved = 2 ** ((side - 1).bit_length() - 1)  # the power of two below
        return DecodePlan(self.chunk, (min(halved, rows), min(halved, columns)))


def plan_of(chunk: int | None, tile: int | tuple[int, int] | None) -> DecodePlan:
    """A plan by its numbers; a single side of a tile stands for a square."""
    return DecodePlan(chunk, (tile, tile) if isinstance(tile, int) else tile)


def plan_decode(
    decoder: Decoder,
    z_shape: Sequence[int],
    dtype: torch.dtype = torch.float32,
    memory_budget: int | str = "auto",
    chunk: int | None = None,
    tile: int | tuple[int, int] | None = None,
    keep_frames: bool = True,
) -> DecodePlan:
    """The first plan in line whose prediction fits `memory_budget` bytes ("auto": what the device has free).

    z_shape: (N, C, t, h, w). chunk, tile: where the line starts. The prediction covers working memory, the remembered
    frames and the decoded clip, not the weights and the latents, which are there already. keep_frames: False for a
    stream that gives its frames away. A `ValueError` names the smallest prediction where none fits.
    """
    budget = budget_bytes(memory_budget, decoder)
    smallest: DecodePlan | None = None
    for plan in plans_from(plan_of(chunk, tile), z_shape):
        needed = predicted_bytes(decoder, z_shape, dtype, plan.chunk, plan.tile, keep_frames)
        plan = dataclasses.replace(plan, predicted_bytes=needed)
        if needed <= budget:
            return plan
        if smallest is None or needed < (smallest.predicted_bytes or 0):
            smallest = plan
    raise ValueError(
        f"latents {tuple(z_shape)} do not decode within {in_units(budget)}: the least is {smallest}; allow that much, "
        "or decode smaller latents"
    )


def plans_from(plan: DecodePlan, z_shape: Sequence[int]) -> Iterator[DecodePlan]:
    """`plan` and all that are in line behind it."""
    following: DecodePlan | None = plan
    while following is not None:
        yield following
        following = following.smaller(*z_shape[2:])


def budget_bytes(memory_budget: int | str, decoder: Decoder) -> int:
    """A budget in bytes; "auto" is a share of what is free on the decoder's device."""
    if memory_budget == "auto":
        return int(AUTO_SHARE * free_bytes(next(decoder.parameters()).device))
    if isinstance(memory_budget, str) or memory_budget <= 0:
        raise ValueError(f"memory_budget is a positive number of bytes or 'auto', not {memory_budget!r}")
    return int(memory_budget)


def in_units(size_bytes: int) -> str:
    """Bytes for readers: 1.2 GB, 35 MB."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{max(1, round(size_bytes / 1e6))} MB"
