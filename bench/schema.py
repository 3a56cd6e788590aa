"""The shape of a config: every key that may be written in `conf/`, `ablations/` or on the command line, with its type.

Hydra composes onto these dataclasses, so a key that is not here is refused by name before any work starts. They are
mutable because Hydra fills them; `bench.config.to_run_spec` turns the result into a frozen `RunSpec`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, make_dataclass
from types import GenericAlias
from typing import Any, get_args, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from bench.launchers import LAUNCHERS
from flash_vaed.distill import PHASES
from flash_vaed.pretrain import PretrainRecipe


@dataclass
class TeacherConf:
    path: str = "bundled"  # "bundled", a folder, a checkpoint file, or the name of a model in the Hugging Face cache


@dataclass
class StageEditConf:
    operator: str | None = None  # null keeps the teacher's operator
    prune: bool = False  # whether prune.ratio applies to this stage
    channels: int | None = None  # its width itself, instead of a ratio


@dataclass
class PlanConf:
    name: str = MISSING
    stages: dict[str, StageEditConf] = field(default_factory=dict)


@dataclass
class PruneConf:
    ratio: float = 1.0  # channels kept in the stages marked `prune`, in (0, 1]
    criterion: str = "independence"
    scaling: str = "total"  # or "mean": every channel counts alike
    weighting: str = "output"  # whose error counts: "none" the channels' own, "next" that behind the next convolutions
    subsets: str = "stage"  # or "block": channels of their own, and a 1x1x1 shortcut, for every block
    start: str = "regression"  # weights before any gradient step: random, slice, fold or regression
    calibration_clips: int = 8  # random crops of training clips: channel statistics and the refit are taken from them
    calibration_frames: int = 9
    calibration_size: int = 96  # pixels, the side of a square crop


GENERATED: dict[str, type] = {}  # classes made from the library's recipes, by name: where a misspelt key is looked up


def fillable(recipe: type, bases: tuple[type, ...] = ()) -> type:
    """A mutable twin of a frozen recipe, same fields and defaults: Hydra cannot fill frozen ones. Tuples become
    lists.
    """
    twins: list[Any] = []
    for name, hint in get_type_hints(recipe).items():
        default = getattr(recipe, name)
        if isinstance(default, tuple):
            twins.append(
                (name, GenericAlias(list, get_args(hint)[:1]), field(default_factory=functools.partial(list, default)))
            )
        else:
            twins.append((name, hint, field(default=default)))
    name = f"{recipe.__name__}Conf"
    GENERATED[name] = make_dataclass(name, twins, bases=bases)
    return GENERATED[name]


def _options_of_phases() -> type:
    """A class with the options of every phase under its name."""
    twins = [(name, fillable(PHASES.get(name).Options)) for name in PHASES]
    return make_dataclass("PhaseOptionsConf", [(name, twin, field(default_factory=twin)) for name, twin in twins])


PhaseOptionsConf = _options_of_phases()


@dataclass
class DistillConf:
    phases: list[str] = field(default_factory=list)
    steps: int = 0  # optimiser steps over all phases together
    options: PhaseOptionsConf = field(default_factory=PhaseOptionsConf)  # type: ignore[valid-type]  # flash_vaed/distill
    lr: float = 1.0  # scale of the recipe's learning rates
    follow_start: bool = True  # a lower rate for a student that starts near its teacher
    batch: int = 2  # clips per micro-batch, over all processes
    accumulate: int = 1  # micro-batches per step
    frames: list[int] = field(default_factory=lambda: [9])  # lengths of training clips, drawn for every batch
    size: int = 64  # pixels, the side of a square training crop
    pool: int | None = None  # distinct crops, whose latents are then kept on disk; null draws new ones all the time
    ema: float = 0.0  # decay of the averaged weights that a phase ends with; 0 takes the last ones
    max_grad_norm: float = 1.0
    precision: str = "float32"  # or bfloat16
    checkpointing: bool = False  # less memory for a longer way back
    perceptual: str = "auto"  # lpips, off, or auto: lpips where AlexNet's weights are there
    latents: str | None = None  # a file or folder of latents to train on, beside the clips
    latent_share: float = 0.5  # of the batches that are taken from them


@dataclass
class ProtocolConf:
    frames: int = 17
    size: int = 144  # pixels, the side of the square a clip is judged on
    stride: int = 1
    start: int = 0


@dataclass
class DataConf:
    source: str = MISSING
    root: str | None = None
    train: str = "train"  # split that calibrates and trains
    evaluate: str = "heldout"  # split that is judged
    max_clips: int | None = None  # judged clips, from the front of the list
    protocol: ProtocolConf = field(default_factory=ProtocolConf)


@dataclass
class MetricsConf:
    names: list[str] = field(default_factory=list)


@dataclass
class TaskConf:
    name: str = MISSING


@dataclass
class TimingConf:
    frames: int = 17
    height: int = 96
    width: int = 96
    warmup_s: float = 0.5  # per arm, at least one call
    min_blocks: int = 3  # an ABBA block is two samples of each arm
    max_blocks: int = 20
    max_seconds: float = 5.0  # no new block is started later than this
    batch: int = 1  # clips at once, by tasks of arms
    min_sample_s: float = 0.0  # a sample is the mean of so many calls that they take this long


@dataclass
class RuntimeConf:
    name: str = "eager"
    dtype: str = "float32"
    chunk: int | None = None  # latents per step; null decodes the whole clip at once
    keep_heap: bool = True  # on a CPU: memory that was freed stays with the process, for both arms
    rewrites: list[str] = field(default_factory=list)  # exact ones: names in flash_vaed/runtime/rewrites
    channels_last: bool = False  # how clips and weights lie in memory
    compile: str | None = None  # torch.compile: default or max-autotune-no-cudagraphs
    cuda_graph: bool = False  # steps are recorded once and replayed


@dataclass
class ArmConf:
    # a built-in spec with random weights (flash_vaed/families/zoo.py), or a checkpoint; student: the one this config
    # makes; of task=generate also own: as the host comes, and copy: the same decoder as one of ours
    decoder: str = MISSING
    program: str = "ours"  # or a peer's: bench/programs
    runtime: RuntimeConf = field(default_factory=RuntimeConf)


@dataclass
class HostConf:
    name: str = MISSING  # bench/hosts
    model: str | None = None  # a folder, a name in the Hugging Face cache, or a checkpoint, as the host takes it
    frames: int = 17
    height: int = 128  # pixels
    width: int = 128
    steps: int = 4  # of denoising
    guidance: float = 1.0
    fps: int = 16  # of the files that are written


@dataclass
class PromptsConf:
    texts: list[str] = field(default_factory=list)
    file: str | None = None  # instead of texts: one prompt a line, or a plan of `vbench2 plan`
    count: int | None = None  # prompts from the front; null takes all
    videos: int = 1  # per prompt, each with a seed of its own; a plan has its own numbers


@dataclass
class SelfForcingConf:
    root: str | None = None  # a checkout of guandeh17/Self-Forcing with its weights


@dataclass
class DeviceConf:
    kind: str = "auto"  # auto, cpu, cuda, or a device of bench/profiles.py, which is then insisted on
    threads: int | None = None  # CPU threads; null takes every core this process may use
    processes: int = 1  # that share a training; each takes its part of every batch, and its own GPU


@dataclass
class PathsConf:
    results: str = "results/local"  # or an address, such as s3://bucket/results
    cache: str = ".cache"
    logs: str = ".cache/logs"
    curves: str | None = ".cache/curves"  # training curves for TensorBoard; null writes none
    flash_vaed_release: str | None = None  # a checkout of the released Flash-VAED program, for arms that run it
    decoders: str = "decoders"  # what task=distill leaves
    videos: str = "videos"  # what task=generate leaves


@dataclass
class LimitsConf:
    timeout_s: float = 3600.0  # a run that takes longer is stopped and recorded as "timeout"
    memory_gb: float | None = None  # host memory of a run, else stopped as "oom"; null allows 9/10 of what is there
    snapshot_minutes: float = 5.0  # how much training a kill may cost


@dataclass
class LauncherConf:
    name: str = "sequential"  # bench/launchers; each has keys of its own, which are the fields of its class there


@dataclass
class StudyConf:
    name: str = ""
    question: str = ""
    control: str = ""  # label of the point the others are compared with
    points: dict[str, str] = field(default_factory=dict)  # label -> its overrides, as typed on a command line
    axes: dict[str, str] = field(default_factory=dict)  # key -> comma-separated values; every combination is run
    only: list[str] = field(default_factory=list)  # labels to run; empty runs all


@dataclass
class Config:
    """One run. All of it decides what is measured, except `label`, `again`, `pictures`, `launcher`, `paths` and
    `limits`.
    """

    teacher: TeacherConf = field(default_factory=TeacherConf)
    plan: PlanConf = field(default_factory=PlanConf)
    prune: PruneConf = field(default_factory=PruneConf)
    distill: DistillConf = field(default_factory=DistillConf)
    data: DataConf = field(default_factory=DataConf)
    metrics: MetricsConf = field(default_factory=MetricsConf)
    timing: TimingConf = field(default_factory=TimingConf)
    runtime: RuntimeConf = field(default_factory=RuntimeConf)
    device: DeviceConf = field(default_factory=DeviceConf)
    task: TaskConf = field(default_factory=TaskConf)
    arms: dict[str, ArmConf] = field(default_factory=dict)  # for tasks that compare decoders by name
    baseline: str = ""  # the arm that the others are measured against; if empty the one called own, else the first
    host: HostConf = field(default_factory=HostConf)  # of task=generate
    prompts: PromptsConf = field(default_factory=PromptsConf)
    self_forcing: SelfForcingConf = field(default_factory=SelfForcingConf)
    seed: int = 0
    label: str | None = None
    again: bool = False  # repeat a run that is stored already
    pictures: int = 0  # judged clips whose frames are stored beside the results, for eyes
    study: StudyConf = field(default_factory=StudyConf)
    launcher: LauncherConf = field(default_factory=LauncherConf)
    paths: PathsConf = field(default_factory=PathsConf)
    limits: LimitsConf = field(default_factory=LimitsConf)


PretrainRecipeConf = fillable(PretrainRecipe)


@dataclass
class CropsConf:
    frames: int = 9
    size: int = 64  # pixels
    batch: int = 2
    max_stride: int = 2


@dataclass
class PretrainConfig:
    """One training of a teacher."""

    recipe: PretrainRecipeConf = field(default_factory=PretrainRecipeConf)  # type: ignore[valid-type]
    crops: CropsConf = field(default_factory=CropsConf)
    data: DataConf = field(default_factory=DataConf)
    out: str = "pretrained"
    threads: int | None = None


@dataclass
class LatentsConfig:
    """One folder of latents made from clips."""

    teacher: TeacherConf = field(default_factory=TeacherConf)
    data: DataConf = field(default_factory=DataConf)
    count: int = 256
    frames: int = 17
    size: int = 64  # pixels, the side of a square crop
    seed: int = 0
    out: str = "latents"


@dataclass
class SearchConfig(Config):
    """One search for plans: a run's settings, and what may become of each stage."""

    target_speedup: float = 6.0  # over the teacher, on the device at hand
    operators: list[str] = field(default_factory=list)
    fractions: list[float] = field(default_factory=list)  # of the teacher's widths that a stage may keep
    multiple: int = 8  # widths are rounded to it
    judge_clips: int = 4  # crops of training clips on which choices are judged, besides those that calibrate
    name: str = "searched"  # of the plan file, in `out`
    out: str = "conf/plan"
    study_out: str = "ablations"  # folder of the study of the whole Pareto set, under the same name
    study_points: int = 8  # at most so many plans in it


@functools.cache
def register() -> None:
    """Put the schemas where Hydra finds them, under the names that the primary configs begin with."""
    store: Any = ConfigStore.instance()
    store.store(name="config_schema", node=Config)
    store.store(name="pretrain_schema", node=PretrainConfig)
    store.store(name="search_schema", node=SearchConfig)
    store.store(name="latents_schema", node=LatentsConfig)
    for name in LAUNCHERS:
        node = fillable(LAUNCHERS.get(name), (LauncherConf,))
        store.store(group="launcher", name=f"{name}_schema", node=node)
