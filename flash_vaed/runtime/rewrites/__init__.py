"""Exact rewrites of a decoder, one a file."""

from flash_vaed.runtime.rewrites.base import REWRITES, Rewrite, in_order

__all__ = ["REWRITES", "Rewrite", "in_order"]
