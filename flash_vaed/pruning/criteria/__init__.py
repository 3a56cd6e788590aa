"""Which channels to keep, one criterion a file; the file name is the name in a plan."""

from flash_vaed.pruning.criteria.base import CRITERIA, Evidence, Reader

__all__ = ["CRITERIA", "Evidence", "Reader"]
