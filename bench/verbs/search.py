"""Search the best operator and width for every stage under a time budget, on the device at hand.

  python -m bench search target_speedup=6                  writes conf/plan/searched.yaml and ablations/searched.yaml
  python -m bench search target_speedup=4 name=searched-4  another budget, another name
  python -m bench search operators=[conv3d,conv2d] fractions=[1,0.5,0.25]
The plan runs like any other: python -m bench run plan=searched; the whole Pareto set: python -m bench multirun
ablations=searched. Interrupted, the same command goes on; repeated on the same kind of machine it finds the same plan.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from bench import schema
from bench.cache import Cache
from bench.config import asked, to_run_spec
from bench.device import detect, warnings_for
from bench.memory import settle_heap
from bench.pin import pin
from bench.prepare import calibration_key, calibration_latents, statistics_of
from bench.records.write import write_bytes
from bench.search.candidates import SearchSpace
from bench.search.report import plan_yaml, study_yaml, table
from bench.search.search import search
from bench.search.verify import Speedups, choose
from bench.tasks.profile import noise_latents, timing_plan
from flash_vaed import load_teacher
from flash_vaed.operators import OPERATORS


def main(argv: list[str]) -> int:
    config = asked("search", __doc__, argv, schema.SearchConfig)
    if config is None:
        return 0
    space, spec = _space(config), pin(to_run_spec(config))
    device = detect(config.device.kind, config.device.threads)
    torch.set_num_threads(device.facts["threads"])
    for warning in warnings_for(device) + settle_heap(spec.runtime.keep_heap, device.kind):
        print(warning, file=sys.stderr)
    machine = f"{device.device_id}, keep_heap={spec.runtime.keep_heap}"  # what times hold for
    with tqdm(bar_format="{desc} [{elapsed}]", leave=False, mininterval=1) as status:
        cache = Cache(config.paths.cache, lambda line: print(line, file=sys.stderr))
        teacher = load_teacher(spec.teacher.path)
        status.set_description_str("calibrating")
        left_out: dict[str, str] = {}
        latents = calibration_latents(spec, teacher, left_out, config.judge_clips)
        for name, reason in left_out.items():
            tqdm.write(f"left out clip {name}: {reason}", file=sys.stderr)
        fit, judge = latents[: -config.judge_clips], latents[-config.judge_clips :]
        statistics = statistics_of(spec, teacher, lambda: fit, cache)
        timed = noise_latents(teacher.decoder.spec, spec.timing).to(device.kind, getattr(torch, spec.runtime.dtype))
        key = {**calibration_key(spec), "judge_clips": config.judge_clips}
        found = search(
            teacher.decoder, statistics, fit, judge, timed, space, cache, key, machine,
            status.set_description_str,
        )  # fmt: skip
        status.set_description_str("measuring plans")
        measure = Speedups(teacher.decoder, timed, timing_plan(spec.timing), cache, machine)
        chosen, speedup = choose(found, config.target_speedup, measure)
    command, name = shlex.join(["python", "-m", "bench", "search", *argv]), config.name
    _write(Path(config.out) / f"{name}.yaml", plan_yaml(name, chosen, speedup, command))
    _write(Path(config.study_out) / f"{name}.yaml", study_yaml(name, found, chosen, config.study_points, command))
    print(table(found, chosen))
    print(f"\nmeasured: {speedup:.2f} times the teacher's speed")
    print(f"plan: {config.out}/{name}.yaml   run it: python -m bench run plan={name}")
    print(f"whole set: python -m bench multirun ablations={name}")
    return 0


def _space(config: schema.SearchConfig) -> SearchSpace:
    """What may become of each stage; a one-line `ValueError` for what cannot be meant."""
    for operator in config.operators:
        OPERATORS.get(operator)
    if not config.target_speedup > 0:
        raise ValueError(
            f"target_speedup is how many times faster than the teacher, above 0; not {config.target_speedup}"
        )
    if Path(config.out).resolve() == Path(config.study_out).resolve():
        raise ValueError(f"out and study_out are both {config.out}: the plan and the study have the same file name")
    if config.multiple < 1 or config.judge_clips < 1 or config.study_points < 1:
        raise ValueError("multiple, judge_clips and study_points are at least 1")
    if not config.fractions or not all(0 < fraction <= 1 for fraction in config.fractions):
        raise ValueError(f"fractions are shares of a stage's width, above 0 and at most 1, not {config.fractions}")
    return SearchSpace(tuple(config.operators), tuple(config.fractions), config.multiple)


def _write(path: Path, text: str) -> None:
    write_bytes(path, text.encode())
