"""Make a decoder small: calibrate, choose channels, rebuild, refit."""

from flash_vaed.pruning.compress import Compressed, compress
from flash_vaed.pruning.criteria import CRITERIA
from flash_vaed.pruning.plan import CompressionPlan, StageEdit
from flash_vaed.pruning.statistics import Statistics, calibrate

__all__ = ["CRITERIA", "Compressed", "CompressionPlan", "StageEdit", "Statistics", "calibrate", "compress"]
