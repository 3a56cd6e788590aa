"""`RunSpec`: everything that determines what a run measures, frozen, with one canonical JSON and one hash.

Where results are stored, how a run is labelled and how long it may take are not in it. Names that can come to mean
something else (the bundled teacher, a folder of clips, the newest version of a metric) travel with a fingerprint of
what they meant.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

RESULT_VERSION = 1  # raise it when the same spec would be measured differently than before


@dataclass(frozen=True)
class TeacherRef:
    path: str
    fingerprint: str = ""


@dataclass(frozen=True)
class StageChange:
    """What happens to one stage: another operator (None keeps the teacher's), and whether it loses channels, by the
    ratio (`prune`) or down to a width (`channels`).
    """

    stage: str
    operator: str | None
    prune: bool
    channels: int | None = None


@dataclass(frozen=True)
class Prune:
    ratio: float
    criterion: str
    scaling: str
    weighting: str
    subsets: str
    start: str
    calibration_clips: int
    calibration_frames: int
    calibration_size: int


@dataclass(frozen=True)
class PhaseChoice:
    """One phase of a training: its steps, and every option it has, by name."""

    name: str
    steps: int
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Distill:
    """The training. `latents` tells where latents without video lie and is left out of the hash, as `Data.root`.

    perceptual: "lpips" or "off"; "auto" until `bench.pin` has looked for the weights.
    """

    phases: tuple[PhaseChoice, ...]
    lr: float = 1.0
    follow_start: bool = True
    batch: int = 2
    accumulate: int = 1
    frames: tuple[int, ...] = (9,)
    size: int = 64
    pool: int | None = None
    ema: float = 0.0
    max_grad_norm: float = 1.0
    precision: str = "float32"
    checkpointing: bool = False
    perceptual: str = "off"
    latents: str | None = None
    latent_share: float = 0.0
    latents_fingerprint: str = ""


@dataclass(frozen=True)
class Data:
    """Clips by name. `root` tells where they lie and is left out of the hash: `fingerprints` says what they are."""

    source: str
    root: str | None
    train: str
    evaluate: str
    max_clips: int | None
    frames: int
    size: int
    stride: int
    start: int
    train_fingerprint: str = ""
    evaluate_fingerprint: str = ""


@dataclass(frozen=True)
class Timing:
    frames: int
    height: int
    width: int
    warmup_s: float
    min_blocks: int
    max_blocks: int
    max_seconds: float
    min_sample_s: float = 0.0
    batch: int = 1


@dataclass(frozen=True)
class Runtime:
    name: str
    dtype: str
    chunk: int | None
    keep_heap: bool
    rewrites: tuple[str, ...] = ()
    channels_last: bool = False
    compile: str | None = None
    cuda_graph: bool = False


@dataclass(frozen=True)
class Arm:
    """One decoder in a comparison of many: which one, whose program runs it, and how."""

    label: str
    decoder: str
    program: str
    runtime: Runtime
    fingerprint: str = ""  # of its weights, where `decoder` is a checkpoint


@dataclass(frozen=True)
class HostChoice:
    """The program that generates (`bench/hosts`), its model, and the video it is asked for; fps: of the files."""

    name: str
    model: str | None
    frames: int
    height: int
    width: int
    steps: int
    guidance: float
    fps: int


@dataclass(frozen=True)
class Prompts:
    """What is to be shown: `texts`, or the lines of a file, or a plan of VBench-2.0.

    count: from the front. videos: per prompt, each with a seed of its own; a plan has its own numbers. `file` is left
    out of the hash: `fingerprint` says what it holds.
    """

    texts: tuple[str, ...]
    file: str | None
    count: int | None
    videos: int
    fingerprint: str = ""


@dataclass(frozen=True)
class RunSpec:
    """One run. `study` is part of it: a study measures its control itself, at the time and place of what it compares.

    metrics: (name, version) pairs. Training and calibration are shared between studies through the cache. arms: the
    decoders that a task of arms compares; the first is what the others are measured against. host, prompts: what
    task=generate generates with and from.
    """

    study: str
    task: str
    teacher: TeacherRef
    plan_name: str
    plan: tuple[StageChange, ...]
    prune: Prune
    distill: Distill
    data: Data
    metrics: tuple[tuple[str, str], ...]
    timing: Timing
    runtime: Runtime
    seed: int
    arms: tuple[Arm, ...] = ()
    host: HostChoice | None = None
    prompts: Prompts | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: `plan` is {stage: {operator, prune, channels}}, `metrics` {name: version}.

        `distill` has the names of its phases, their steps and options under `plans`, and the `steps` of all. `arms` is
        {label: {decoder, program, runtime}}. What came later than the first results is left out at its default, so that
        their hashes hold.
        """
        document = dataclasses.asdict(self)
        for part in (document["timing"], document["runtime"], *(arm["runtime"] for arm in document["arms"])):
            _drop_defaults(part)
        for arm in document["arms"]:
            if not arm["fingerprint"]:
                del arm["fingerprint"]
        for name in ("host", "prompts"):
            if document[name] is None:
                del document[name]
        if self.prompts is not None:
            document["prompts"]["texts"] = list(self.prompts.texts)
        if arms := document.pop("arms"):
            document["baseline"] = arms[0]["label"]
            document["arms"] = {arm.pop("label"): arm for arm in arms}
        document["plan"] = {change.pop("stage"): change for change in document["plan"]}
        document["metrics"] = dict(self.metrics)
        phases = self.distill.phases
        document["distill"] |= {
            "phases": [phase.name for phase in phases],
            "plans": {phase.name: {"steps": phase.steps, **dict(phase.options)} for phase in phases},
            "steps": sum(phase.steps for phase in phases),
            "frames": list(self.distill.frames),
        }
        document["version"] = RESULT_VERSION
        return document

    def canonical(self) -> str:
        """The JSON text that is stored: sorted keys, no spaces."""
        return _canonical(self.to_json())

    def digest(self) -> str:
        """16 hex digits over every field but the two that say where something lies."""
        document = self.to_json()
        del document["data"]["root"], document["distill"]["latents"]
        if self.prompts is not None:
            del document["prompts"]["file"]
        for arm in document.get("arms", {}).values():
            if "fingerprint" in arm:  # it says what the path only finds
                del arm["decoder"]
        return _digest(document)

    def run_id(self, device_id: str) -> str:
        """Name of this run on one kind of machine; a safe file name."""
        return f"{self.digest()}-{device_id}"

    def protocol_id(self) -> str:
        """Hash of how decoders are judged: clips, frames, crop, metric versions, teacher, timed shape.

        Numbers are ranked only where it is equal.
        """
        document = self.to_json()
        data = {k: v for k, v in document["data"].items() if k not in ("root", "train", "train_fingerprint")}
        timed = {k: document["timing"][k] for k in ("frames", "height", "width")}
        names = ("version", "metrics", "host", "prompts")
        kept: dict[str, Any] = {name: document[name] for name in names if name in document}
        kept.get("prompts", {}).pop("file", None)
        return _digest({**kept, "data": data, "timing": timed, "teacher": self.teacher.fingerprint})[:12]


_LATER = {
    field.name: field.default
    for kind in (Timing, Runtime)
    for field in dataclasses.fields(kind)
    if field.default is not dataclasses.MISSING
}


def _drop_defaults(part: dict[str, Any]) -> None:
    """Leave out later fields at their default; tuples become lists, as JSON reads them."""
    for name, default in _LATER.items():
        if name in part and part[name] == default:
            del part[name]
        elif isinstance(part.get(name), tuple):
            part[name] = list(part[name])


def _canonical(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(document).encode()).hexdigest()[:16]
