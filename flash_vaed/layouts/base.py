"""What a layout is: it knows its own keys, reads a spec off names and shapes, and renames the weights.

The spec is read off the weights alone wherever they tell; what they cannot tell (latent statistics, a time rule) comes
from the `config.json` beside them, where there is one, or from the published constants.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from flash_vaed.registry import Registry
from flash_vaed.spec import DecoderSpec, StagePlan

LAYOUTS: Registry[type[Layout]] = Registry("checkpoint layout", __package__)

Weights = Mapping[str, Tensor]


class Layout(ABC):
    """A namespace. title: what such a file is called in messages."""

    title: ClassVar[str]

    @staticmethod
    @abstractmethod
    def matches(weights: Weights) -> bool:
        """Whether these keys are this layout's."""

    @staticmethod
    @abstractmethod
    def read(weights: Weights, config: Mapping[str, Any]) -> tuple[DecoderSpec, dict[str, Tensor]]:
        """The decoder's spec, and its weights under this project's names.

        Keys of the encoder are dropped; unknown ones are kept, so that a strict load lists them. What this project has
        no decoder for is a `ValueError` that says so. config: empty where the file came alone.
        """


def recognise(weights: Weights) -> str:
    """The name of the layout these weights lie in; none is a `ValueError` that shows some keys."""
    for name in LAYOUTS:
        if LAYOUTS.get(name).matches(weights):
            return name
    titles = "; ".join(LAYOUTS.get(name).title for name in LAYOUTS)
    shown = ", ".join(list(weights)[:3]) or "none"
    raise ValueError(f"its {len(weights)} keys ({shown} ...) are of no layout known here: {titles}")


def has(weights: Weights, prefix: str) -> bool:
    """Whether a key begins with `prefix`."""
    return any(key.startswith(prefix) for key in weights)


def count(weights: Weights, prefix: str) -> int:
    """How many numbers follow `prefix`: 3 for prefix.0.x, prefix.1.y, prefix.2.z."""
    numbers = {key.removeprefix(prefix).split(".", 1)[0] for key in weights if key.startswith(prefix)}
    return len({number for number in numbers if number.isdigit()})


def replaced(key: str, pairs: Iterable[tuple[str, str]]) -> str:
    """`key` with every (old, new) of `pairs` replaced, in order."""
    for old, new in pairs:
        key = key.replace(old, new)
    return key


def stage_plan(weights: Weights, stage: str, **told: Any) -> StagePlan:
    """The plan of a stage, read off weights under this project's names; `told`: fields that blocks do not show."""
    path = f"stages.{stage}."
    blocks = [f"{path}blocks.{b}." for b in range(count(weights, f"{path}blocks."))]
    if not blocks:
        raise ValueError(f"stage {stage} has no residual blocks")
    shortcuts = [weights.get(f"{block}shortcut.{part}weight") for block in blocks for part in ("", "conv.")]
    square = any(shortcut is not None and len(shortcut) == shortcut.shape[1] for shortcut in shortcuts)
    return StagePlan(
        operator=_operator(weights, f"{blocks[0]}conv1."),
        channels=_rows(weights, f"{blocks[0]}conv2."),
        num_blocks=len(blocks),
        attention=has(weights, f"{path}attention."),
        shortcut="always" if square else "auto",
        **told,
    )


def _operator(weights: Weights, convolution: str) -> str:
    """The operator whose parameters lie under `convolution`."""
    depthwise = weights.get(f"{convolution}depthwise_weight")
    if depthwise is not None:
        return "depthwise3d_5" if depthwise.shape[-1] == 5 else "depthwise3d"
    return "conv3d" if _kernel(weights, convolution).ndim == 5 else "conv2d"


def _rows(weights: Weights, convolution: str) -> int:
    return len(_kernel(weights, convolution))


def _kernel(weights: Weights, convolution: str) -> Tensor:
    for name in ("weight", "pointwise_weight"):
        if f"{convolution}{name}" in weights:
            return weights[f"{convolution}{name}"]
    raise ValueError(f"{convolution}weight is missing")
