"""Whose program runs a decoder: ours, or that of a peer beside whom it is timed. One a file."""

from bench.programs.base import PROGRAMS, Program, Running, decoder_named

__all__ = ["PROGRAMS", "Program", "Running", "decoder_named"]
