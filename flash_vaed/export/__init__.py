"""Decoders as folders that other people's pipelines load, without this package."""

from flash_vaed.export.folder import to_diffusers_folder

__all__ = ["to_diffusers_folder"]
