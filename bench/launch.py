"""From points to stored results: compose everything, run what is missing, end with the table.

Nothing is started before every point has been composed and checked, so a typo in the last one costs nothing.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from omegaconf import OmegaConf

from bench import analysis, records, schema
from bench.composer import Composer
from bench.config import compose, to_config, to_launcher, to_run_spec
from bench.job import Places
from bench.launchers import Launcher
from bench.pin import pin
from bench.progress import Display
from bench.spec import RunSpec
from bench.study import Point
from bench.sweep import Done, RunRequest


@dataclass(frozen=True)
class Prepared:
    """One point with its checked config and the request made from it."""

    point: Point
    request: RunRequest


def launch(verb: str, points: Sequence[Point], argv: Sequence[str], show: bool = False) -> int:
    """Run `points` and print the table of their results; the exit code is 1 if a run failed.

    argv: the words after the verb, for the command that repeats what failed. show: print the points, run nothing.
    """
    if show:
        return _show(points)
    prepared, launcher = prepare(verb, points, argv)
    display = Display(len(prepared), max(len(p.request.label) for p in prepared))
    done = []
    try:
        for result in launcher.launch([p.request for p in prepared], display.watch):
            display.finish(result)
            done.append(result)
    finally:
        display.close()
    _print_table(done)
    return _report_failures(verb, prepared, done, argv)


def prepare(verb: str, points: Sequence[Point], argv: Sequence[str]) -> tuple[list[Prepared], Launcher]:
    """Requests for all points, in order, and who does them; points that come to the same run are run once."""
    composer = Composer()
    configs = [_checked(point, composer) for point in points]
    prepared: dict[str, Prepared] = {}
    for point, (config, spec) in zip(points, configs, strict=True):
        request = _request(verb, point, config, pin(spec), argv)
        twin = prepared.setdefault(request.spec.digest(), Prepared(point, request))
        if twin.point is not point:
            print(f"{point.label} is the same run as {twin.point.label}, done once", file=sys.stderr)
    launchers = {to_launcher(config.launcher) for config, _ in configs}
    if len(launchers) > 1:
        raise ValueError("launcher is one for all points of a study; give it on the command line")
    return list(prepared.values()), launchers.pop()


def _checked(point: Point, composer: Composer) -> tuple[schema.Config, RunSpec]:
    """Config and spec of one point; a mistake in it is a `ValueError` that names the point."""
    try:
        config = to_config(composer.compose(point.overrides), schema.Config)
        return config, to_run_spec(config)
    except ValueError as error:
        raise ValueError(f"point {point.label!r}: {error}" if point.label else str(error)) from error


def _request(verb: str, point: Point, config: schema.Config, spec: RunSpec, argv: Sequence[str]) -> RunRequest:
    paths = config.paths
    return RunRequest(
        label=point.label or config.label or f"{spec.plan_name}-{Fraction(spec.prune.ratio).limit_denominator(64)}",
        spec=spec,
        command=_command(verb, argv, [point.name] if point.name else []),
        results=_results(config),
        places=_places(config),
        logs=str(Path(paths.logs).expanduser()),
        timeout_s=config.limits.timeout_s,
        memory_gb=config.limits.memory_gb,
        device=config.device.kind,
        threads=config.device.threads,
        again=config.again,
        processes=config.device.processes,
        snapshot_s=60 * config.limits.snapshot_minutes,
    )


def _results(config: schema.Config) -> str:
    """The results folder, or its address."""
    results = config.paths.results
    if not records.is_address(results):
        return str(Path(results).expanduser())
    if config.pictures:
        raise ValueError(f"pictures={config.pictures} needs a results folder; {results} keeps numbers alone")
    return results


def _places(config: schema.Config) -> Places:
    paths, root = config.paths, config.self_forcing.root
    return Places(
        cache=str(Path(paths.cache).expanduser()),
        curves=str(Path(paths.curves).expanduser()) if paths.curves else None,
        decoders=str(Path(paths.decoders).expanduser()),
        videos=str(Path(paths.videos).expanduser().absolute()),  # a host may change the working directory
        pictures=_results(config) if config.pictures else None,
        pictured=config.pictures,
        flash_vaed_release=paths.flash_vaed_release,
        self_forcing=root,
    )


def _show(points: Sequence[Point]) -> int:
    """Print the composed config of a single point, or the overrides of many."""
    for point in points:
        config = compose(point.overrides)
        to_run_spec(to_config(config, schema.Config))
        print(OmegaConf.to_yaml(config) if len(points) == 1 else f"{point.label}: {' '.join(point.overrides)}")
    return 0


def _print_table(done: Sequence[Done]) -> None:
    """The table of the runs of this command that are stored, and where to look further."""
    done = [d for d in done if d.run_id]
    if not done:
        return
    results = done[0].request.results
    stored = analysis.load(results)
    print()
    these = stored.of({d.run_id for d in done})
    print(
        analysis.end_to_end.render_text(these)
        or analysis.stages.render_text(these)
        or analysis.arms.render_text(these)
        or analysis.table.render_text(analysis.summarise(these))
    )
    for problem in stored.problems:
        print(f"left out: {problem}")
    print()
    for of in done:
        if of.request.spec.host is not None:
            print(f"Videos of {of.request.label}, a folder an arm: {Path(of.request.places.videos) / of.run_id}")
    elsewhere = f"python -m dashboard --results {shlex.quote(results)}"
    print(f"Results: {results}   Dashboard: {'make dashboard' if results == 'results' else elsewhere}")


def _report_failures(verb: str, prepared: Sequence[Prepared], done: Sequence[Done], argv: Sequence[str]) -> int:
    """Name the failed runs, their logs, and the command that repeats only them; exit code 1 if there is one."""
    failed = [d for d in done if d.failed]
    if not failed:
        return 0
    print(f"{len(failed)} of {len(done)} runs failed:", file=sys.stderr)
    for d in failed:
        print(f"  {d.request.label}: {d.status}, {d.error}  (log: {d.log_path})", file=sys.stderr)
    labels = {d.request.label for d in failed}
    names = [p.point.name for p in prepared if p.request.label in labels and p.point.name]
    print(f"repeat them with: {_command(verb, argv, list(dict.fromkeys(names)))}", file=sys.stderr)
    return 1


def _command(verb: str, argv: Sequence[str], only: Sequence[str]) -> str:
    """The command that was given, narrowed to the named points; stored runs are skipped in any case."""
    words = [word for word in argv if not (only and word.startswith("study.only="))]
    narrowed = [*words, f"study.only=[{','.join(only)}]"] if only else words
    return shlex.join(["python", "-m", "bench", verb, *narrowed])
