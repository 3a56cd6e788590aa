"""Composing many points: what they share is composed once.

Hydra takes a tenth of a second for a config, most of it for reading and joining files. Which files, only the choices
of options say (`plan=paper`); keys with values (`prune.ratio=0.5`) are set in what comes out, as Hydra itself does it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.config import check_spelling, compose
from bench.paths import ROOT


class Composer:
    """Gives for each list of overrides what `compose` gives; made for one command, since files may change later."""

    def __init__(self) -> None:
        self._shared: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The composed config; `ValueError`, one line, for anything in `overrides` that does not fit."""
        check_spelling(overrides)
        choices = tuple(override for override in overrides if _chooses(override))
        values = [override for override in overrides if not _chooses(override)]
        if choices not in self._shared:
            self._shared[choices] = compose(choices)
        config = copy.deepcopy(self._shared[choices])
        try:
            for override in OverridesParser.create().parse_overrides(values):
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except (HydraException, OmegaConfBaseException):
            return compose(overrides)  # what is wrong is for Hydra to say
        return config


def _chooses(override: str) -> bool:
    """Whether an override names an option of a group, a file, and not a value."""
    key = override.split("=", 1)[0]
    return key == "ablations" or (ROOT / "conf" / key).is_dir()
