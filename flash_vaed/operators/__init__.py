"""The convolutions a residual block can be made of, one file each; the file name is the name in a plan."""

from flash_vaed.operators.base import OPERATORS, Operator, Hop

__all__ = ["OPERATORS", "Operator", "Hop"]
