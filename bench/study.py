"""From a study file and a command line to a list of points, each a label and the overrides that make its config.

A study lists its points by hand (`points`, label -> overrides as one would type them), spans a grid (`axes`), or
both: every point is then run at every corner. Lists on the command line (`seed=0,1,2`) add axes of their own. Every
point is composed before the first one runs, so a typo anywhere costs nothing.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from bench import schema
from bench.config import check_spelling, compose, one_line, options
from bench.words import did_you_mean

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_ONE_VALUE = (  # never an axis
    "study", "ablations", "launcher", "paths", "limits", "label", "again", "data.root", "teacher.path",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One run of a study: `label` for people, `name` of its entry in the study's `points`, `overrides` for Hydra."""

    label: str
    name: str
    overrides: tuple[str, ...]


def study_points(arguments: Sequence[str]) -> tuple[schema.StudyConf, list[Point]]:
    """The study that `arguments` name, and its points in order; a one-line `ValueError` for what cannot be meant."""
    study_name = named_study(arguments)
    fixed, given_axes = split_axes([a for a in arguments if not a.startswith("ablations=")])
    if study_name is None and not given_axes:
        study_name = "quickstart"
    base = [f"ablations={study_name}"] if study_name else ["study.name=grid"]
    if any(_key(override) == "label" for override in fixed):
        raise ValueError("label names one run; with multirun every point has its own")
    study = _study([*base, *(override for override in fixed if _key(override).split(".")[0] == "study")])
    _check_study(study, study_name)
    axes = {**_file_axes(study, [*fixed, *(f"{k}=" for k in given_axes)]), **given_axes}
    corners = [tuple(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    entries = [(name, shlex.split(text)) for name, text in study.points.items()] or [("", [])]
    points = []
    for (name, own), corner in itertools.product(entries, corners):
        _refuse_conflict(study, own, [*fixed, *(f"{key}={value}" for key, value in corner)])
        chosen = [f"{key}={value}" for key, value in corner]
        points.append(Point(_label(name, chosen), name, (*base, *own, *fixed, *chosen)))
    return study, [point for point in points if not study.only or point.name in study.only]


def _study(overrides: Sequence[str]) -> schema.StudyConf:
    """The `study` part of a composed config alone: the rest may still lack values that the points give."""
    study = OmegaConf.to_object(compose(overrides).study)
    assert isinstance(study, schema.StudyConf)
    return study


def named_study(arguments: Sequence[str]) -> str | None:
    """The one study that `ablations=NAME` names, or None. Lists, globs and unknown names are a `ValueError`."""
    named = [a.split("=", 1)[1] for a in arguments if a.startswith("ablations=")]
    for argument in arguments:
        if argument.split("=", 1)[0] in ("ablation", "study"):
            raise ValueError(f"{argument!r}: a study is chosen with ablations=NAME")
    if not named:
        return None
    if len(named) > 1 or not re.fullmatch(r"\w+", named[0]):
        raise ValueError(f"name exactly one study, not {', '.join(named)!r}; run them one after the other")
    if named[0] not in options("ablations"):
        raise ValueError(f"unknown study {named[0]!r}; known: {', '.join(options('ablations'))}")
    return named[0]


def split_axes(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Overrides with one value as they are; those with several (`a,b`, `range(0,3)`, `choice(a,b)`) as key: values."""
    check_spelling(overrides)
    fixed: list[str] = []
    axes: dict[str, list[str]] = {}
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        for text, override in zip(overrides, parsed, strict=True):
            key = override.get_key_element()
            if not override.is_sweep_override():
                fixed.append(text)
            elif not override.is_discrete_sweep() or "glob(" in text:
                raise ValueError(f"{text!r}: list the values one by one, for example {key}=a,b")
            elif key in _ONE_VALUE or key.split(".")[0] in _ONE_VALUE:
                raise ValueError(f"{text!r}: {key} takes one value; one with a comma needs quotes: '{key}=\"a,b\"'")
            else:
                axes[key] = [str(value) for value in override.sweep_string_iterator()]
    except HydraException as error:
        raise ValueError(one_line(error)) from error
    return fixed, axes


def _file_axes(study: schema.StudyConf, given: Sequence[str]) -> dict[str, list[str]]:
    """The axes of a study file, less those the command line sets itself: a value given there narrows the grid."""
    replaced = {_key(override) for override in given}
    axes: dict[str, list[str]] = {}
    for key, values in study.axes.items():
        if key not in replaced:
            single, several = split_axes([f"{key}={values}"])
            axes[key] = several.get(key) or [single[0].split("=", 1)[1]]
    return axes


def _check_study(study: schema.StudyConf, file_name: str | None) -> None:
    """A study that contradicts itself is a `ValueError`."""
    if file_name is not None and study.name != file_name:
        raise ValueError(f"ablations/{file_name}.yaml calls itself {study.name!r}; both must be one name")
    for label in study.points:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"label {label!r} of study {study.name!r} may hold letters, digits and . _ / + - only")
    if study.control and study.points and study.control not in study.points:
        raise ValueError(f"study {study.name!r} names the control {study.control!r}, which is not one of its points")
    for label in study.only:
        if label not in study.points:
            raise ValueError(f"study.only: no point {label!r} in {study.name!r}; {did_you_mean(label, study.points)}")


def _refuse_conflict(study: schema.StudyConf, own: Sequence[str], given: Sequence[str]) -> None:
    """A key that a point sets itself cannot be set for all points as well: they would all become one."""
    clash = {_key(override) for override in own} & {_key(override) for override in given}
    if clash:
        raise ValueError(
            f"{min(clash)} is what the points of {study.name!r} differ in; leave it out, "
            "pick points with study.only=[LABEL,...], or use `run`"
        )


def _label(name: str, chosen: Sequence[str]) -> str:
    return " ".join([name, *chosen]).strip() or "run"


def _key(override: str) -> str:
    return override.split("=", 1)[0]
