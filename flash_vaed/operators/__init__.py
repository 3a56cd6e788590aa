"""The convolutions a residual block can be made of, one file each; the file name is the name in a plan."""

from flash_vaed.operators.base import OPERATORS, Hop, Operator

__all__ = ["OPERATORS", "Hop", "Operator"]
