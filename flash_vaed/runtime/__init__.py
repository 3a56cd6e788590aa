"""Switchable ways to compute faster, for teacher and student alike, and graphs for other runtimes."""

from flash_vaed.runtime.fast import FastDecoder, optimize
from flash_vaed.runtime.options import EXACT, FAST, FAST_GPU, RuntimeOptions

__all__ = ["EXACT", "FAST", "FAST_GPU", "FastDecoder", "RuntimeOptions", "optimize"]
