"""What pruning knows of each kind of layer, one kind a file: what it ties together, how it is cut and refitted."""

from flash_vaed.pruning.layers.base import LAYERS, Clip, Cut, LayerKind, Read, kind_of

__all__ = ["LAYERS", "Clip", "Cut", "LayerKind", "Read", "kind_of"]
