"""Make a decoder small: calibrate, choose channels, rebuild, refit."""

from flash_vaed.pruning.calibrate import calibrate
from flash_vaed.pruning.choice import Kept
from flash_vaed.pruning.compress import Compressed, compress
from flash_vaed.pruning.criteria import CRITERIA
from flash_vaed.pruning.plan import CompressionPlan, StageEdit
from flash_vaed.pruning.statistics import Statistics

__all__ = ["CRITERIA", "Compressed", "CompressionPlan", "Kept", "StageEdit", "Statistics", "calibrate", "compress"]
