"""What an exact rewrite is: the same function of latents and state, computed with less work."""

from __future__ import annotations

from collections.abc import Callable

from flash_vaed.decoder import Decoder
from flash_vaed.registry import Registry

Rewrite = Callable[[Decoder], int]
"""Replaces modules of a decoder in place, weights folded in float64; says at how many places. State slots stay."""

REWRITES: Registry[Rewrite] = Registry("rewrite", __package__)

ORDER = ("values", "composed", "subpixel")  # what composes an upsampler goes before what splits it


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """The rewrites in the order they are applied; an unknown name or one given twice is a `ValueError`."""
    for name in names:
        REWRITES.get(name)
    if len(set(names)) < len(names):
        raise ValueError(f"a rewrite is named twice: {', '.join(names)}")
    return tuple(sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)))
