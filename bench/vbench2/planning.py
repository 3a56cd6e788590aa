"""From a checkout to a plan: each prompt once, every video with a seed of its own, and what that will cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bench.vbench2.checkout import Checkout
from bench.vbench2.dimensions import DIMENSIONS, video_name
from bench.vbench2.plan import SEEDS, Entry, Plan, Subset
from bench.words import did_you_mean


def make_plan(
    checkout: Checkout,
    prompts: str = "wanx",
    seed: int = 0,
    per_dimension: int | None = None,
    dimensions: Sequence[str] = (),
) -> Plan:
    """All videos of the official protocol, or a declared subset of it.

    prompts: "short" or whose extended texts to generate from. per_dimension: the first so many prompts of each
    dimension. dimensions: these alone. A video has the same seed in every subset. `ValueError` for an unknown
    dimension, for prompts that give equal names, and for seeds that collide.
    """
    chosen = check_dimensions(dimensions) or tuple(DIMENSIONS)
    if per_dimension is not None and per_dimension < 1:
        raise ValueError(f"--per-dimension is at least 1, not {per_dimension}")
    if not 0 <= seed < SEEDS:
        raise ValueError(f"--seed is a whole number from 0 below 2**31, not {seed}")
    texts, wanted = checkout.extended(prompts), _wanted(checkout, chosen, per_dimension)
    entries = []
    for prompt in (prompt for prompt in checkout.prompts if prompt in wanted):
        samples = {key: DIMENSIONS[key].samples for key in wanted[prompt]}
        for index in range(max(samples.values())):
            name = video_name(prompt, index)
            needed_by = tuple(key for key, count in samples.items() if index < count)
            entries.append(Entry(name, prompt, texts[prompt], index, video_seed(seed, name), needed_by))
    for what, values in (("names", [entry.name.casefold() for entry in entries]),
                         ("seeds", [entry.seed for entry in entries])):  # fmt: skip
        if len(set(values)) != len(values):
            advice = "choose another --seed" if what == "seeds" else "the checkout is damaged or of another version"
            raise ValueError(f"two videos have equal {what}: {advice}")
    subset = None
    if per_dimension is not None or len(chosen) < len(DIMENSIONS):
        subset = Subset(per_dimension, chosen)
    return Plan(checkout.commit, prompts, seed, subset, tuple(entries))


def check_dimensions(keys: Sequence[str]) -> tuple[str, ...]:
    """`keys` in VBench's order, each once; an unknown one is a `ValueError` that names the nearest."""
    for key in keys:
        if key not in DIMENSIONS:
            raise ValueError(f"unknown dimension {key!r}; {did_you_mean(key, DIMENSIONS)}")
    return tuple(key for key in DIMENSIONS if key in keys)


def video_seed(seed: int, name: str) -> int:
    """A seed from 0 below 2**31 for one video: the first 31 bits of a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4], "big") % SEEDS


def budget(plan: Plan, mb_per_video: float | None = None, seconds_per_video: float | None = None) -> str:
    """The plan's videos as a table: prompts, videos, disk and hours of one arm, by dimension and in all.

    A video that several dimensions need counts in each of their rows and once in the sum.
    """
    counts = plan.counts()
    lines = [("dimension", "prompts", "videos", "GB", "hours")]
    shown = {**counts["dimensions"], "in all, each video once": counts}
    for name, row in shown.items():
        videos = row["videos"]
        disk = "-" if mb_per_video is None else f"{videos * mb_per_video / 1000:.2f}"
        hours = "-" if seconds_per_video is None else f"{videos * seconds_per_video / 3600:.2f}"
        lines.append((name, str(row["prompts"]), str(videos), disk, hours))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    aligned = [
        "  ".join(cell.rjust(width) if i else cell.ljust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]  # fmt: skip
    return "\n".join([*aligned, f"made once per dimension it would be {counts['videos_in_dimension_folders']} videos"])


def _wanted(checkout: Checkout, chosen: tuple[str, ...], per_dimension: int | None) -> dict[str, list[str]]:
    """{prompt: dimensions that need it}, dimensions in VBench's order."""
    found: dict[str, list[str]] = {}
    for key in chosen:
        of_key = [record.prompt for record in checkout.records if record.dimension == key]
        if not of_key and len(chosen) < len(DIMENSIONS):
            raise ValueError(f"the checkout has no prompt for dimension {key}")
        for prompt in of_key[:per_dimension]:
            found.setdefault(prompt, []).append(key)
    return found
