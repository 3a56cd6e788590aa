"""How decoders lie in files, one layout a file; recognised by keys and shapes, never by a file's name."""

from flash_vaed.layouts.base import LAYOUTS, Layout, recognise

__all__ = ["LAYOUTS", "Layout", "recognise"]
