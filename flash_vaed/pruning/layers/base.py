"""A kind of layer as pruning sees it: what it reads and writes, how its student is cut from it and refitted.

Legend: N batch, C channels, T frames, H W pixels; O output, I input channels, k kept ones; P sampled positions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from flash_vaed.operators import Operator
from flash_vaed.operators.base import Index
from flash_vaed.operators.conv3d import Conv3d
from flash_vaed.pruning.reconstruction import reconstruction
from flash_vaed.pruning.statistics import Moments, Statistics
from flash_vaed.registry import Registry
from flash_vaed.state import Stream

LAYERS: Registry[type[LayerKind]] = Registry("layer kind", __package__)


class Read(NamedTuple):
    """One convolution that reads a site.

    behind: name of the convolution whose input `Statistics` has, "" where it reads the site's channels as they are.
    gain: the learned gain (C,) of the norm in front of it, where there is one.
    """

    behind: str
    kernel: Tensor
    gain: Tensor | None


@dataclass
class Clip:
    """A calibration clip on its way: what enters the next layer of the student, and of the teacher."""

    x: Tensor
    x_teacher: Tensor

    def advance(self, layer: nn.Module, original: nn.Module) -> None:
        """Through one layer of each."""
        self.x, self.x_teacher = layer(self.x, Stream.fresh()), original(self.x_teacher, Stream.fresh())

    def advance_together(self, layer: nn.Module) -> None:
        """Through a layer that both share, while both hold the same."""
        self.x = self.x_teacher = layer(self.x_teacher, Stream.fresh())


@dataclass(frozen=True)
class Cut:
    """What one layer keeps of the channels it reads, has inside and writes (teacher channels, ascending).

    before: moments of the channels it reads. fold: kernels take over the part of the lost channels that the kept ones
    rebuild; else they are sliced.
    """

    path: str
    reads: list[int]
    inner: list[int]
    writes: list[int]
    before: Moments
    statistics: Statistics
    fold: bool

    def reaching(self, conv: str) -> Moments:
        """Of what reaches a convolution inside the layer."""
        return self.statistics[f"{self.path}.{conv}:input"]

    def linear(
        self, weight_OI: Tensor, bias_O: Tensor, rows: Sequence[int], columns: Sequence[int], moments: Moments
    ) -> tuple[Tensor, Tensor]:
        """Rows and columns of a linear layer (O, I, ...) that reads channels with these `moments`."""
        weight, bias = weight_OI[list(rows)], bias_O[list(rows)]
        if len(columns) == weight.shape[1] or not self.fold:
            return weight[:, list(columns)], bias
        rebuild, offset = rebuilt(moments, columns)
        folded = torch.einsum("kc,oc...->ok...", rebuild.to(weight.dtype), weight)
        return folded, bias + weight.flatten(2).sum(dim=2) @ offset.to(weight.dtype)

    def operator(
        self, target: Operator, source: Operator, rows: list[int], columns: list[int], moments: Moments
    ) -> None:
        """Start a convolution from the teacher's dense one, which what has these `moments` reaches."""
        if type(target) is type(source) and (target.in_channels, target.out_channels) == (
            source.in_channels,
            source.out_channels,
        ):
            target.load_state_dict(source.state_dict())
            return
        weight, bias = dense(source)
        target.from_dense(*self.linear(weight, bias, rows, columns, moments))

    def gain(self, norm: Any, original: Any, channels: list[int], moments: Moments) -> None:
        """A norm's gain for fewer channels: rescaled so that normalised values keep their typical size. A norm without
        one (LTX) cannot be corrected; the refit of what reads it makes up for that.
        """
        if not hasattr(norm, "gamma"):
            return
        square = moments.covariance.diagonal() + moments.mean.square()
        share = square[channels].sum() / square.sum().clamp_min(1e-300)
        factor = (share * len(square) / len(channels)).sqrt()
        norm.gamma.copy_(original.gamma[channels] * factor.to(original.gamma.dtype))


class LayerKind(ABC):
    """Stateless; registered under the full name of the module class it is about.

    inner: path of the convolution in the middle whose channels are a site of their own; "" for none.
    prunable: whether it can do with fewer channels than the teacher's.
    """

    inner: ClassVar[str] = ""
    prunable: ClassVar[bool] = True

    def ties(self, layer: Any) -> bool:
        """Whether it writes onto the channels that it reads (an identity path), so that both are cut together."""
        return False

    def last(self, layer: Any) -> Operator:
        """The convolution that writes its output."""
        return layer.conv

    def width(self, layer: Any) -> int:
        """Channels it writes."""
        return self.last(layer).out_channels

    def writers(self, layer: Any) -> dict[str, Tensor]:
        """The kernels (C, ...) whose rows write its output ("writes") and its inner site ("inner")."""
        return {"writes": self.last(layer).rows()}

    def reads(self, layer: Any) -> dict[str, Read]:
        """The convolutions that read its input ("reads") and its inner site ("inner")."""
        return {}

    def observed(self, layer: Any) -> tuple[str, ...]:
        """Convolutions inside it whose input is calibrated."""
        return tuple(read.behind for read in self.reads(layer).values() if read.behind)

    @abstractmethod
    def cut(self, layer: Any, original: Any, cut: Cut) -> None:
        """Write into the student's layer what it keeps of the teacher's."""

    def refit(self, layer: Any, original: Any, cut: Cut, clips: list[Clip], sample: Callable[[Tensor], Index]) -> None:
        """Solve its linear parts for the teacher's output on the student's own input, and move the clips behind it.

        Called only where something is to be solved: the layers differ, or what reaches them.
        """
        for clip in clips:
            clip.advance(layer, original)


def kind_of(layer: nn.Module) -> LayerKind | None:
    """What pruning knows of a layer or of a class it is derived from, None for nothing."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(layer).__mro__)
    return next((LAYERS.get(name)() for name in names if name in LAYERS), None)


def store(layer: Any, weight: Tensor, bias: Tensor) -> None:
    """Write a linear layer's weight, in whatever shape it has, and its bias."""
    layer.weight.copy_(weight.reshape(layer.weight.shape))
    layer.bias.copy_(bias)


def rebuilt(moments: Moments, kept: Sequence[int]) -> tuple[Tensor, Tensor]:
    """W (k, C) and offset (C,): all channels of a site from its kept ones, x_hat = W^T x_kept + offset. float64."""
    weights = reconstruction(moments.covariance, list(kept))
    return weights, moments.mean - weights.T @ moments.mean[list(kept)]


def dense(operator: Operator) -> tuple[Tensor, Tensor]:
    """Kernel (O, I, 3, 3, 3) and bias of a dense convolution; another operator is a `ValueError`."""
    if not isinstance(operator, Conv3d):
        raise ValueError(f"only a dense conv3d can be sliced or replaced, not {type(operator).__name__}")
    return operator.weight, operator.bias
