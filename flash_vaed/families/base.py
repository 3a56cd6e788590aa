"""What a family provides: three parts that a decoder runs in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import nn

from flash_vaed.registry import Registry
from flash_vaed.spec import DecoderSpec

FAMILIES: Registry[type[Family]] = Registry("family", __package__)


class Parts(NamedTuple):
    """`entry`, every stage and `head` are called as module(x_NCTHW, stream) -> x_NCTHW.

    A part that may be decoded in tiles also has `sight()`: the hops (`operators.Hop`) of its furthest-seeing path in
    their order, or None where a pixel sees its whole frame.
    """

    entry: nn.Module
    stages: nn.ModuleDict
    head: nn.Module


class Family(ABC):
    """A namespace: how a spec becomes modules.

    A stage that can be compressed has `layers()`: what it runs one after the other, by name, each of a kind that
    `flash_vaed.pruning.layers` knows. projects_upward: whether an upsampler, at the end of its stage, can hand over
    another width than the stage's; else the next stage makes the step.
    """

    projects_upward: ClassVar[bool] = True

    @staticmethod
    @abstractmethod
    def build(spec: DecoderSpec) -> Parts:
        """Modules with fresh weights for `spec`."""
