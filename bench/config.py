"""The border between configs and values: overrides in, a checked and frozen `RunSpec` out.

Hydra composes `conf/`, a study from `ablations/` and the command line; a key that no schema knows dies here, in one
line that names it. Values that name something (an operator, a criterion, a phase, a metric) are looked up before any
work. Below this module nobody sees OmegaConf.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import MarkedYAMLError

from bench import schema
from bench.arguments import parse_overrides
from bench.data import ClipProtocol
from bench.data.clips import SOURCES
from bench.hosts import HOSTS
from bench.launchers import LAUNCHERS, Launcher
from bench.metrics import METRICS
from bench.paths import ROOT
from bench.programs import PROGRAMS
from bench.spec import (
    Arm,
    Data,
    Distill,
    HostChoice,
    PhaseChoice,
    Prompts,
    Prune,
    RunSpec,
    Runtime,
    StageChange,
    TeacherRef,
    Timing,
)
from bench.tasks import ARM_TASKS, TASKS
from bench.tasks.generate import OWN
from bench.tasks.profile import timing_plan
from bench.words import did_you_mean
from flash_vaed.distill import PHASES, DistilRecipe, Settings
from flash_vaed.distill.precision import PRECISIONS
from flash_vaed.operators import OPERATORS
from flash_vaed.pruning import CRITERIA
from flash_vaed.pruning.plan import CHOICES
from flash_vaed.runtime import RuntimeOptions
from flash_vaed.runtime.options import DTYPES

C = TypeVar("C")

PERCEPTUAL = ("auto", "lpips", "off")


def compose(overrides: Sequence[str], config_name: str = "config") -> DictConfig:
    """The composed config; `ValueError`, one line, for anything in `overrides` that does not fit."""
    check_spelling(overrides)
    schema.register()
    search = f"hydra.searchpath=['file://{ROOT}']"  # quoted: a comma or parenthesis in the path is Hydra grammar
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return hydra_compose(config_name, overrides=[search, *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(one_line(error)) from error
    except MarkedYAMLError as error:
        raise ValueError(f"not a readable config: {error.problem}, {error.problem_mark}".replace("\n", " ")) from error


def check_spelling(overrides: Iterable[str]) -> None:
    """Refuse what Hydra accepts but that cannot be meant here."""
    for override in overrides:
        if override.startswith(("+", "~")):
            raise ValueError(f"{override!r}: keys cannot be added or removed; every key is in bench/schema.py")
        if override.startswith("hydra"):
            raise ValueError(f"{override!r}: Hydra's own settings are not used here")
        if "=" not in override:
            raise ValueError(f"{override!r} is not an override; write key=value")


def to_config(composed: DictConfig, kind: type[C]) -> C:
    """The composed config as plain typed objects; a key left open (`???`) is a `ValueError` that says how to set it."""
    missing = OmegaConf.missing_keys(composed)
    if missing:
        key = min(missing)
        raise ValueError(f"{key} is needed and has no default; give it as {key}=VALUE")
    try:
        config = OmegaConf.to_object(composed)
    except (MissingMandatoryValue, OmegaConfBaseException) as error:
        raise ValueError(one_line(error)) from error
    assert isinstance(config, kind)
    return config


def asked(verb: str, help_text: str | None, argv: Sequence[str], kind: type[C]) -> C | None:
    """The config of a verb that has one of its own, `conf/<verb>.yaml`; None where it was only to be shown."""
    given = parse_overrides(verb, help_text, argv)
    composed = compose(given.overrides, verb)
    if given.show:
        print(OmegaConf.to_yaml(composed))
        return None
    return to_config(composed, kind)


def to_launcher(config: schema.LauncherConf) -> Launcher:
    """The launcher with its options, as the frozen value it is."""
    kind, given = LAUNCHERS.get(config.name), {name: value for name, value in vars(config).items() if name != "name"}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def to_run_spec(config: schema.Config) -> RunSpec:
    """The frozen spec of one run, every name and range checked, choices without effect set to one spelling.

    Fingerprints are still empty: `bench.sweep.pin` fills them in.
    """
    plan = tuple(
        StageChange(name, edit.operator, edit.prune, edit.channels) for name, edit in config.plan.stages.items()
    )
    data, timing = config.data, config.timing
    spec = RunSpec(
        study=config.study.name,
        task=config.task.name,
        teacher=TeacherRef(config.teacher.path),
        plan_name=config.plan.name,
        plan=plan,
        prune=_prune(config.prune, plan),
        distill=_distill(config.distill),
        data=Data(
            data.source, data.root, data.train, data.evaluate, data.max_clips,
            data.protocol.frames, data.protocol.size, data.protocol.stride, data.protocol.start,
        ),
        metrics=tuple((name, METRICS.get(name).version) for name in config.metrics.names),
        timing=Timing(
            timing.frames, timing.height, timing.width,
            timing.warmup_s, timing.min_blocks, timing.max_blocks, timing.max_seconds, timing.min_sample_s,
            timing.batch,
        ),
        runtime=_runtime(config.runtime),
        seed=config.seed,
        arms=_arms(config.arms, config.baseline or (OWN if OWN in config.arms else "")),
        host=_host(config.host) if config.task.name == "generate" else None,
        prompts=_prompts(config.prompts) if config.task.name == "generate" else None,
    )  # fmt: skip
    _check(spec)
    return spec


def _arms(arms: Mapping[str, schema.ArmConf], baseline: str) -> tuple[Arm, ...]:
    """The arms, the baseline in front."""
    if baseline:
        _known(baseline, list(arms), "baseline")
    for label, arm in arms.items():
        _names_a_folder(label, "arm")
        PROGRAMS.get(arm.program)
    found = [Arm(label, arm.decoder, arm.program, _runtime(arm.runtime)) for label, arm in arms.items()]
    return tuple(sorted(found, key=lambda arm: bool(baseline) and arm.label != baseline))


def _host(conf: schema.HostConf) -> HostChoice:
    HOSTS.get(conf.name)
    numbers = {name: getattr(conf, name) for name in ("frames", "height", "width", "steps", "fps")}
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"host.{name} is a positive number, not {value}")
    return HostChoice(conf.name, conf.model, guidance=conf.guidance, **numbers)


def _prompts(conf: schema.PromptsConf) -> Prompts:
    if bool(conf.texts) == bool(conf.file):
        raise ValueError(
            "prompts come from prompts.texts or from prompts.file, one of the two; prompts.texts=[] empties it"
        )
    if conf.videos < 1 or (conf.count is not None and conf.count < 1):
        raise ValueError(f"prompts.count and prompts.videos are positive numbers, not {conf.count} and {conf.videos}")
    return Prompts(tuple(conf.texts), conf.file, conf.count, conf.videos)


def _runtime(conf: schema.RuntimeConf) -> Runtime:
    _known(conf.name, options("runtime"), "runtime")
    _known(conf.dtype, DTYPES, "dtype")
    if conf.chunk is not None and conf.chunk < 1:
        raise ValueError(f"runtime.chunk is a positive number of latents or null, not {conf.chunk}")
    chosen = RuntimeOptions(conf.dtype, tuple(conf.rewrites), conf.channels_last, conf.compile, conf.cuda_graph)
    return Runtime(
        conf.name, conf.dtype, conf.chunk, conf.keep_heap, chosen.rewrites, conf.channels_last, conf.compile,
        conf.cuda_graph,
    )  # fmt: skip


def _prune(conf: schema.PruneConf, plan: Sequence[StageChange]) -> Prune:
    if not 0 < conf.ratio <= 1:
        raise ValueError(f"prune.ratio is the share of channels kept, above 0 and at most 1, not {conf.ratio}")
    clips, frames, size = conf.calibration_clips, conf.calibration_frames, conf.calibration_size
    if clips < 1 or frames < 1 or frames % 4 != 1 or size < 8 or size % 8:
        asked = f"{clips} of {frames} x {size} x {size}"
        raise ValueError(f"calibration needs clips of 4n + 1 frames with sides that are multiples of 8, not {asked}")
    CRITERIA.get(conf.criterion)
    for name, known in CHOICES.items():
        _known(getattr(conf, name), known, f"prune.{name}")
    start = conf.start
    if not any(change.prune or change.channels for change in plan):  # nothing is chosen: all choices mean the same
        conf = schema.PruneConf()
    ratio = conf.ratio if any(change.prune for change in plan) else 1.0
    return Prune(ratio, conf.criterion, conf.scaling, conf.weighting, conf.subsets, start, clips, frames, size)


def _distill(conf: schema.DistillConf) -> Distill:
    for phase in conf.phases:
        PHASES.get(phase)
    if len(set(conf.phases)) < len(conf.phases):
        raise ValueError(f"distill.phases names a phase twice: {', '.join(conf.phases)}")
    if not conf.phases or conf.steps == 0:
        return Distill(())  # nothing is trained: the other settings mean nothing
    _known(conf.precision, PRECISIONS, "distill.precision")
    _known(conf.perceptual, PERCEPTUAL, "distill.perceptual")
    Settings(conf.lr, batch=conf.batch, accumulate=conf.accumulate, max_grad_norm=conf.max_grad_norm, ema=conf.ema)
    options = {name: PHASES.get(name).Options(**vars(getattr(conf.options, name))) for name in conf.phases}
    plans = DistilRecipe(tuple(conf.phases), conf.steps, options).plans()
    _check_crops(conf, [length for plan in plans if (length := plan.options.frames) is not None])
    phases = tuple(PhaseChoice(p.name, p.steps, tuple(sorted(p.to_json()["options"].items()))) for p in plans)
    return Distill(
        phases, conf.lr, conf.follow_start, conf.batch, conf.accumulate, tuple(conf.frames), conf.size, conf.pool,
        conf.ema, conf.max_grad_norm, conf.precision, conf.checkpointing, conf.perceptual,
        conf.latents, conf.latent_share if conf.latents else 0.0,
    )  # fmt: skip


def _check_crops(conf: schema.DistillConf, own_lengths: Sequence[int]) -> None:
    """Crops that a decoder of this kind can be trained on."""
    lengths = [*conf.frames, *own_lengths]
    if not conf.frames or any(length < 1 or length % 4 != 1 for length in lengths) or conf.size < 8 or conf.size % 8:
        asked = f"{lengths} frames of {conf.size} x {conf.size}"
        raise ValueError(f"distill needs clips of 4n + 1 frames with sides that are multiples of 8, not {asked}")
    if conf.pool is not None and conf.pool < 1:
        raise ValueError(f"distill.pool is a number of crops, at least 1, or null, not {conf.pool}")
    if not 0 < conf.latent_share <= 1:
        raise ValueError(f"distill.latent_share is a share of the batches, above 0, not {conf.latent_share}")


def _check(spec: RunSpec) -> None:
    """Names against their registries, numbers against their ranges; the first misfit is a `ValueError`."""
    if spec.task not in ARM_TASKS:
        TASKS.get(spec.task)
    SOURCES.get(spec.data.source)
    _names_a_folder(spec.plan_name, "plan.name")
    for change in spec.plan:
        if change.operator is not None:
            OPERATORS.get(change.operator)
    ClipProtocol(spec.data.frames, spec.data.size, spec.data.stride, spec.data.start)
    timing = spec.timing
    timing_plan(timing)
    if timing.batch < 1:
        raise ValueError(f"timing.batch is a positive number of clips, not {timing.batch}")
    if timing.frames % 4 != 1 or timing.height % 8 or timing.width % 8 or min(timing.height, timing.width) < 8:
        shape = f"{timing.frames} frames of {timing.height} x {timing.width}"
        raise ValueError(f"timing needs 4n + 1 frames and sides that are multiples of 8, not {shape}")
    if (spec.task in ARM_TASKS) != bool(spec.arms):
        known = ", ".join(ARM_TASKS)
        raise ValueError(f"arms are compared by the tasks {known} and by no other, not with task={spec.task}")
    if spec.task == "generate" and [arm.label for arm in spec.arms if arm.program != "ours"]:
        raise ValueError("task=generate puts decoders into a host; its arms have no program of their own")
    if not spec.metrics and (spec.task == "generate" or spec.task not in ("profile", *ARM_TASKS)):
        raise ValueError("metrics.names is empty; name at least one metric or use task=profile")


def _names_a_folder(name: str, what: str) -> None:
    """Decoders and videos are kept under this name; it must not lead elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,99}", name):
        raise ValueError(f"{what} {name[:40]!r} names a folder: 1 to 100 letters, digits and . _ + - with no slash")


def _known(value: str, known: Sequence[str], what: str) -> str:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; {did_you_mean(value, known)}")
    return value


def one_line(error: Exception) -> str:
    """Hydra's message in one line that names the key, without the search path and the advice to use '+'."""
    cause = str(error.__cause__) if error.__cause__ else ""
    if "LexerNoViableAlt" in str(error) or isinstance(error, OverrideParseException):
        text = getattr(error, "override", None) or str(error).removeprefix("LexerNoViableAltException: ")
        return f"cannot read {text!r}; a value with special characters needs quotes: key='\"value\"'"
    whole = f"{error}\n{cause}"
    no_option = re.search(r"Could not find '(\w+)/([^']*)'", str(error))
    if no_option:
        group, option = no_option.groups()
        return f"unknown {group} {option!r}; {did_you_mean(option, options(group))}"
    unknown = re.search(r"Key '(\w+)' (?:not in '(\w+)'|is not in struct)", whole)
    if unknown:
        place = re.search(r"In '(ablations/\w+)'", str(error))
        key = re.search(r"full_key: (\S+)", whole)
        nearest = _nearest_key(unknown[1], unknown[2])
        return f"{place[1] + '.yaml: ' if place else ''}unknown key {key[1] if key else unknown[1]!r}; {nearest}"
    first = next(iter(whole.strip().splitlines()), type(error).__name__)
    detail = cause.strip().splitlines()[0] if cause else ""
    return f"{first}: {detail}" if detail and detail not in first else first


def _nearest_key(key: str, class_name: str | None) -> str:
    """Which key of a schema class may have been meant."""
    node = getattr(schema, class_name or "", None) or schema.GENERATED.get(class_name or "")
    if node is None:
        return f"there is no {key!r} in this place"
    return did_you_mean(key, [field.name for field in dataclasses.fields(node)])


def options(group: str) -> list[str]:
    """Names that a config group (or `ablations`) offers."""
    folder = ROOT / "ablations" if group == "ablations" else ROOT / "conf" / group
    return sorted(path.stem for path in folder.glob("*.yaml"))
