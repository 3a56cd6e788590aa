"""Generated videos: latents made once per prompt and seed, decoded by every arm, judged against the baseline's frames.

All arms get the same latents, so that what differs is the decoder alone. Every step is kept as soon as it is done: a
latent as a file of its own, a video as a file of its own, what was found about it in the cache. An interrupted run goes
on with the next video.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.cache import Artefact, Cache
from bench.hosts import Host
from bench.metrics import Metric, NotApplicable
from bench.prompts import Wanted
from bench.records import measurement
from bench.spec import Arm, HostChoice
from bench.tasks.base import Row
from flash_vaed import Decoder, read_latents, save_latents
from flash_vaed.video_files import video_writer


@dataclass(frozen=True)
class Contender:
    """An arm in a host. decoder: None for the host's own. weights: which decoder it is, by spec and content."""

    arm: Arm
    decoder: Decoder | None
    weights: str

    def takes_over(self, host: Host) -> None:
        """Let the host decode with this arm from now on."""
        host.use(self.decoder, self.arm.runtime.chunk)


@dataclass(frozen=True)
class Footage:
    """One run's videos. origin: what the latents depend on besides the host's settings. folder: of `videos`.

    The latents of `origin` lie in `folder/latents-.../`, those of one video in a file of its name; latents that were
    generated elsewhere may be put there. Videos lie in `folder/<run_id>/<arm>/`.
    """

    run_id: str
    host: Host
    choice: HostChoice
    origin: str
    folder: Path
    cache: Cache
    metrics: Sequence[Metric]

    def latents(self, wanted: Wanted) -> Tensor:
        """Normalised latents (1, C, t, h, w), generated where they are not stored."""
        path = self.latents_folder / f"{wanted.name.removesuffix('.mp4')}.safetensors"
        if path.exists():
            return read_latents(path)
        z_NCthw = self.host.denoise(self.host.text(wanted.text), wanted.seed).float().cpu()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_latents(z_NCthw, path)
        return z_NCthw

    @property
    def latents_folder(self) -> Path:
        made_by = {k: v for k, v in dataclasses.asdict(self.choice).items() if k != "fps"}
        text = json.dumps({**made_by, "origin": self.origin}, sort_keys=True)
        return self.folder / f"latents-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def video(self, arm: Arm, wanted: Wanted) -> Path:
        """Where an arm's video lies or will lie."""
        return self.folder / self.run_id / arm.label / wanted.name

    def rows(self, contenders: Sequence[Contender], wanted: Wanted) -> Iterator[Row]:
        """What every arm's video of one prompt and seed is, against that of the first arm."""
        known = {c.arm.label: self._known(c, contenders[0], wanted) for c in contenders}
        if None in known.values():
            z_NCthw = self.latents(wanted)
            first = self._decoded(contenders[0], z_NCthw)
            for contender in contenders:
                if known[contender.arm.label] is None:
                    frames = first if contender is contenders[0] else self._decoded(contender, z_NCthw)
                    self.write(self.video(contender.arm, wanted), frames)
                    judged = self._judged(first[0], frames[0])
                    key = self._key(contender, contenders[0], wanted)
                    self.cache.put("judged", key, Artefact({}, {"values": judged}))
                    known[contender.arm.label] = judged
        for label, found in known.items():
            yield from self._rows(label, contenders[0].arm.label, wanted.name, found or {})

    def write(self, path: Path, x_NCTHW: Tensor) -> None:
        """A clip as a video file, always with the same settings."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with video_writer(path, Fraction(self.choice.fps), x_NCTHW.shape[3], x_NCTHW.shape[4]) as writer:
            writer.write(x_NCTHW[0])

    def _decoded(self, contender: Contender, z_NCthw: Tensor) -> Tensor:
        contender.takes_over(self.host)
        return self.host.decode(z_NCthw).float().clamp(-1, 1).cpu()

    def _known(self, contender: Contender, baseline: Contender, wanted: Wanted) -> dict[str, Any] | None:
        """What an earlier run found, where its video is still there."""
        key = self._key(contender, baseline, wanted)
        if not self.video(contender.arm, wanted).exists() or not self.cache.holds("judged", key):
            return None
        values = self.cache.fetch("judged", key, lambda: Artefact({}, {"values": None})).document["values"]
        return values if isinstance(values, dict) else None

    def _key(self, contender: Contender, baseline: Contender, wanted: Wanted) -> Mapping[str, Any]:
        arms = [[c.weights, dataclasses.asdict(c.arm.runtime)] for c in (contender, baseline)]
        return {
            "run": self.run_id, "latents": self.latents_folder.name, "video": dataclasses.asdict(wanted), "arms": arms,
            "metrics": [[metric.name, metric.version] for metric in self.metrics],
        }  # fmt: skip

    def _judged(self, reference_CTHW: Tensor, frames_CTHW: Tensor) -> dict[str, Any]:
        """Per metric the mean over frames, or why there is none."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            if (reason := metric.unavailable()) is None:
                try:
                    found[metric.name] = metric(reference_CTHW, frames_CTHW).mean().item()
                except NotApplicable as error:
                    reason = str(error)
            if reason is not None:
                found[metric.name] = reason
        return found

    def _rows(self, label: str, against: str, clip: str, found: Mapping[str, Any]) -> Iterator[Row]:
        for metric in self.metrics:
            value = found[metric.name]
            said = isinstance(value, str)
            yield measurement(
                self.run_id, label, metric.name, None if said else value, unit=metric.unit,
                higher_is_better=metric.higher_is_better, metric_version=metric.version, against=against, clip=clip,
                note=value if said else None,
            )  # fmt: skip
