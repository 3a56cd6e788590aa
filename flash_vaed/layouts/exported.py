"""What `to_diffusers_folder` writes: our own names behind "decoder.", the spec in the `config.json` beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from flash_vaed.export.fields import spec_from_config
from flash_vaed.layouts.base import LAYOUTS, Layout, Weights, has
from flash_vaed.spec import DecoderSpec


@LAYOUTS.register("exported")
class Exported(Layout):
    title = "a decoder exported by this project"

    @staticmethod
    def matches(weights: Weights) -> bool:
        return has(weights, "decoder.entry.") and has(weights, "decoder.stages.")

    @staticmethod
    def read(weights: Weights, config: Mapping[str, Any]) -> tuple[DecoderSpec, dict[str, Tensor]]:
        if "decoder_spec" not in config:
            raise ValueError("an exported decoder's spec is in its config.json, which is missing or not its own")
        own = {key.removeprefix("decoder."): value for key, value in weights.items() if not key.startswith("encoder.")}
        return spec_from_config(config["decoder_spec"]), own
