"""What a decoder is, as data: plans are values, code loops over them.

A `DecoderSpec` names every stage with its operator and widths. The teacher, the paper's students and every variant of a
sweep are specs of one family; the weights travel beside the spec, never inside it. No torch here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

UPSAMPLES = ("none", "spatial", "spatiotemporal")
SHORTCUTS = ("auto", "always")
TIMES = ("causal_zero", "causal_replicate", "centred_replicate")
MOST_BLOCKS = 1000  # of one stage: far beyond any decoder, and built in seconds

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(Mapping[K, V]):
    """An ordered mapping that cannot change, so that a spec can be hashed and shared."""

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and list(self.items()) == list(other.items())

    def __repr__(self) -> str:
        return f"FrozenMapping({self._items!r})"


@dataclass(frozen=True)
class StagePlan:
    """One stage: `num_blocks` residual blocks of width `channels`, then an optional upsampler to `out_channels`.

    out_channels: None stands for `channels`.
    upsample: "none", "spatial" (H and W x2) or "spatiotemporal" (T x2 as well, except on the very first frame).
    attention: per-frame self-attention behind the first block.
    shortcut: "auto" puts a 1x1x1 convolution on the residual path only where the width changes; "always" everywhere.
    skip: the stage's input, repeated to the size of its output, is added to it (Wan 2.2).
    time: what the blocks' convolutions see beyond a clip's ends, one of `TIMES`; None stands for the decoder's rule.
    """

    operator: str
    channels: int
    num_blocks: int
    upsample: str = "none"
    out_channels: int | None = None
    attention: bool = False
    shortcut: str = "auto"
    skip: bool = False
    time: str | None = None

    def __post_init__(self) -> None:
        if self.out_channels is None:
            object.__setattr__(self, "out_channels", self.channels)
        if min(self.channels, self.num_blocks, self.width_out) < 1:
            raise ValueError(f"a stage needs at least one channel and one block, not {self}")
        if self.num_blocks > MOST_BLOCKS:
            raise ValueError(f"a stage has at most {MOST_BLOCKS} blocks, not {self.num_blocks}")
        if self.upsample not in UPSAMPLES:
            raise ValueError(f"upsample is one of {', '.join(UPSAMPLES)}, not {self.upsample!r}")
        if self.shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut is one of {', '.join(SHORTCUTS)}, not {self.shortcut!r}")
        if self.time is not None:
            _check_time(self.time)
        if self.upsample == "none" and self.out_channels != self.channels:
            raise ValueError(
                f"without an upsampler a stage leaves with its {self.channels} channels, not {self.out_channels}"
            )

    @property
    def width_out(self) -> int:
        """Channels that leave the stage."""
        assert self.out_channels is not None  # set in __post_init__
        return self.out_channels


def _check_time(rule: str) -> None:
    if rule not in TIMES:
        raise ValueError(f"time is one of {', '.join(TIMES)}, not {rule!r}")


@dataclass(frozen=True)
class LatentSpace:
    """Whose latents these are, and the per-channel statistics a diffusion model normalises them with.

    `normalize` maps raw latents (as a VAE emits and takes them) to about unit scale; `denormalize` is its inverse. Both
    work in float32 whatever the input's dtype (half-precision constants would round the latents) and return the input's
    dtype.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for statistic in ("mean", "std"):  # whole numbers and lists come from JSON files
            object.__setattr__(self, statistic, tuple(float(value) for value in getattr(self, statistic)))
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"latent space {self.name!r} needs as many means as deviations, not {len(self.mean)}, {len(self.std)}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"latent space {self.name!r} has a deviation that is not positive: {min(self.std)}")

    @property
    def channels(self) -> int:
        return len(self.mean)

    def normalize(self, z_NCthw: Any) -> Any:
        """Raw latents (N, C, t, h, w) -> about unit scale, same dtype."""
        mean, std = self._constants(z_NCthw)
        return ((z_NCthw.float() - mean) / std).to(z_NCthw.dtype)

    def denormalize(self, z_NCthw: Any) -> Any:
        """Unit-scale latents (N, C, t, h, w) -> raw, same dtype."""
        mean, std = self._constants(z_NCthw)
        return (z_NCthw.float() * std + mean).to(z_NCthw.dtype)

    def _constants(self, z_NCthw: Any) -> tuple[Any, Any]:
        if z_NCthw.ndim != 5 or z_NCthw.shape[1] != self.channels:
            raise ValueError(f"{self.name} latents are (N, {self.channels}, t, h, w), not {tuple(z_NCthw.shape)}")
        like = z_NCthw.float()
        mean, std = (like.new_tensor(values).view(1, -1, 1, 1, 1) for values in (self.mean, self.std))
        return mean, std


@dataclass(frozen=True)
class DecoderSpec:
    """Everything that determines a decoder's graph. Frozen, hashable, JSON round trip.

    family: how blocks are wired (`flash_vaed.families`). stages: named, in execution order, e.g. mid, up0 ... up3.
    patch: side in pixels of the square that the head writes per position. time: what temporal convolutions see beyond a
    clip's ends: zeros or the first frame in front ("causal_..."), or the nearest frame on both sides ("centred_...").
    """

    family: str
    latents: LatentSpace
    stages: FrozenMapping[str, StagePlan]
    out_channels: int = 3
    patch: int = 1
    time: str = "causal_zero"

    def __post_init__(self) -> None:
        _check_time(self.time)
        if self.patch < 1:
            raise ValueError(f"patch is a positive number of pixels, not {self.patch}")
        if not self.stages:
            raise ValueError("a decoder needs at least one stage")
        if not isinstance(self.stages, FrozenMapping):
            object.__setattr__(self, "stages", FrozenMapping(self.stages))

    @property
    def spatial_scale(self) -> int:
        """Output pixels per latent pixel and axis."""
        return int(self.patch * 2 ** sum(stage.upsample != "none" for stage in self.stages.values()))

    @property
    def temporal_scale(self) -> int:
        """Output frames per latent, the first latent excepted (it gives one frame)."""
        return int(2 ** sum(stage.upsample == "spatiotemporal" for stage in self.stages.values()))

    @property
    def looks_ahead(self) -> bool:
        """Whether a frame needs latents behind its own; its stream then gives frames later."""
        return "centred_replicate" in {self.time, *(stage.time for stage in self.stages.values())}

    def frames_out(self, latents: int) -> int:
        """Frames that `latents` latent frames decode to."""
        return self.temporal_scale * (latents - 1) + 1

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Latents (t, h, w) of a clip; a `ValueError` for frames or sides (pixels) that the grid cannot give."""
        temporal, spatial = self.temporal_scale, self.spatial_scale
        if frames < 1 or (frames - 1) % temporal or height % spatial or width % spatial or min(height, width) < 1:
            raise ValueError(
                f"{self.latents.name} latents are of {temporal} k + 1 frames with sides divisible by {spatial}, "
                f"not {frames}x{height}x{width}"
            )
        return (frames - 1) // temporal + 1, height // spatial, width // spatial

    def width_in(self, stage: str) -> int:
        """Channels that enter `stage`."""
        names = list(self.stages)
        position = names.index(stage)
        return self.stages[stage].channels if position == 0 else self.stages[names[position - 1]].width_out

    def with_stages(self, **changed: StagePlan) -> DecoderSpec:
        """A copy in which the named stages are replaced."""
        unknown = set(changed) - set(self.stages)
        if unknown:
            raise ValueError(f"unknown stage {sorted(unknown)}; this decoder has {', '.join(self.stages)}")
        return dataclasses.replace(self, stages=FrozenMapping({**self.stages, **changed}))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `from_json` is its inverse. Fields at their default are left out, so that a field
        added later changes neither old files nor their fingerprints.
        """
        return {
            **_told(self),
            "latents": dataclasses.asdict(self.latents),
            "stages": {name: _told(stage) for name, stage in self.stages.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DecoderSpec:
        """The spec written by `to_json`; unknown or missing keys are a `ValueError`."""
        try:
            stages = {name: StagePlan(**stage) for name, stage in document["stages"].items()}
            latents = LatentSpace(**document["latents"])
            return cls(**{**document, "latents": latents, "stages": FrozenMapping(stages)})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a decoder spec: {error}") from error

    def fingerprint(self) -> str:
        """Twelve hex digits of the canonical JSON, equal for equal graphs. Stage order counts, key order does not."""
        document = self.to_json()
        document["stages"] = list(document["stages"].items())
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def _told(plan: DecoderSpec | StagePlan) -> dict[str, Any]:
    """The fields of a plan that differ from their default."""
    values = {field.name: (getattr(plan, field.name), field.default) for field in dataclasses.fields(plan)}
    return {name: value for name, (value, default) in values.items() if value != default}
