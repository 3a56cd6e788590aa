"""How blocks are wired into a decoder, one family a file; widths and operators come from the spec."""

from flash_vaed.families.base import FAMILIES, Parts

__all__ = ["FAMILIES", "Parts"]
