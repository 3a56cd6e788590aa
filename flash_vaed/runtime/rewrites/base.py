"""What an exact rewrite is: the same function of latents and state, computed with less work."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from flash_vaed.decoder import Decoder
from flash_vaed.registry import Registry

Rewrite = Callable[[Decoder], int]
"""Replaces modules of a decoder in place, weights folded in float64; says at how many places. State slots stay."""

REWRITES: Registry[Rewrite] = Registry("rewrite", __package__)

ORDER = ("values", "composed", "subpixel")  # what composes an upsampler goes before what splits it


def everywhere(replacement: Callable[[nn.Module], nn.Module | None]) -> Rewrite:
    """The rewrite that puts `replacement(module)` in the place of every module for which that is one."""

    @torch.no_grad()
    def rewrite(decoder: Decoder) -> int:
        places = 0
        for parent in list(decoder.modules()):
            for name, module in list(parent.named_children()):
                if (new := replacement(module)) is not None:
                    setattr(parent, name, new)
                    places += 1
        return places

    return rewrite


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """The rewrites in the order they are applied; an unknown name or one given twice is a `ValueError`."""
    for name in names:
        REWRITES.get(name)
    if len(set(names)) < len(names):
        raise ValueError(f"a rewrite is named twice: {', '.join(names)}")
    return tuple(sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)))
