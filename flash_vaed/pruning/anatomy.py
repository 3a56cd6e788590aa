"""Where channels can go: the layers of a decoder in the order they run, and which of them share a set of channels.

A site is a set of channels that is chosen as one. Layers that add onto their input (a residual block with an identity
around it) tie their output to it; a projection, an upsampler or the entry starts a site of its own; what lies between
the two convolutions of a block is one too. So a student whose blocks have identities keeps one subset per stage, and
one with projections everywhere (`shortcut="always"`, as released) one per block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from flash_vaed.decoder import Decoder
from flash_vaed.pruning.layers import LayerKind, kind_of


@dataclass(frozen=True)
class Site:
    """`taps`: paths of the modules whose outputs carry these channels."""

    name: str
    channels: int
    taps: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """One layer of the walk, and the names of the sites of its input, inside and output; "" for none."""

    path: str
    reads: str
    inner: str
    writes: str


@dataclass(frozen=True)
class Anatomy:
    """Layers in execution order; sites by name."""

    layers: tuple[Layer, ...]
    sites: dict[str, Site]

    def behind(self, part: str) -> str:
        """The site that leaves "entry" or a stage."""
        of_part = [layer for layer in self.layers if layer.path == part or layer.path.startswith(f"stages.{part}.")]
        return of_part[-1].writes


class Place(NamedTuple):
    """A layer of one decoder."""

    path: str
    module: Any
    kind: LayerKind


def walk(decoder: Decoder) -> Iterator[Place]:
    """Every layer in execution order; a `ValueError` for a decoder that pruning does not know."""
    for name, part in decoder.parts().items():
        inside = part.layers() if hasattr(part, "layers") else {"": part}  # type: ignore[operator]
        for inner, layer in inside.items():
            path = f"stages.{name}.{inner}" if name in decoder.stages else name
            kind = kind_of(layer)
            if kind is None:
                raise ValueError(
                    f"a decoder of family {decoder.spec.family} cannot be compressed: "
                    f"pruning does not know its {type(layer).__name__} ({path.rstrip('.')})"
                )
            yield Place(path, layer, kind)


def anatomy(decoder: Decoder) -> Anatomy:
    """Layers and sites of a decoder; weights are not looked at, so it may lie on the meta device."""
    if any(plan.skip for plan in decoder.spec.stages.values()):
        raise ValueError(
            "a decoder with skips around its stages (Wan 2.2) cannot be compressed: they tie all its widths"
        )
    places = list(walk(decoder))
    groups: list[list[Place]] = []
    for place in places[:-1]:  # the head writes pixels
        if place.kind.ties(place.module):
            groups[-1].append(place)
        else:
            groups.append([place])
    site_of = {place.path: _site(group) for group in groups for place in group}
    layers, sites, reads = [], dict[str, Site](), ""
    for path, module, kind in places:
        inner = f"{path.removeprefix('stages.')}.inner" if kind.inner else ""
        if inner:
            middle = module.get_submodule(kind.inner)
            sites[inner] = Site(inner, middle.out_channels, (f"{path}.{kind.inner}",))
        written = site_of.get(path)
        if written is not None:
            sites.setdefault(written.name, written)
        layers.append(Layer(path, reads, inner, written.name if written else ""))
        reads = layers[-1].writes
    return Anatomy(tuple(layers), sites)


def _site(group: list[Place]) -> Site:
    first, paths = group[0], tuple(place.path for place in group)
    return Site(_name(paths), first.kind.width(first.module), paths)


def _name(paths: tuple[str, ...]) -> str:
    """After its stage where it runs through blocks, else after the one layer that writes it."""
    last = paths[-1].removeprefix("stages.")
    return f"{last.split('.')[0]}.stream" if len(paths) > 1 else last
