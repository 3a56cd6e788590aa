"""What a search leaves: a plan file, a study of the whole set, a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from bench.search.damage import psnr_db
from bench.search.search import Found
from bench.search.solve import Plan

SHOWN = 12  # rows of the table
STEPS = 36  # of the short training in the study, as in the project's other studies


def plan_yaml(name: str, plan: Plan, speedup: float, command: str) -> str:
    """The plan as `conf/plan` has them. speedup: as measured."""
    lines = [
        f"# Found by: {command}",
        f"# Measured: {speedup:.2f} times the teacher's speed. Predicted: {psnr_db(plan.mse):.2f} dB to its frames, "
        "untrained.",
        f"name: {name}",
        "stages:",
    ]
    width = max(map(len, plan.chosen)) + 1
    for stage, choice in plan.chosen.items():
        label = f"{stage}:".ljust(width)
        lines.append(f"  {label} {{operator: {choice.operator}, channels: {choice.channels}}}")
    return "\n".join(lines) + "\n"


def study_yaml(name: str, found: Found, chosen: Plan, points: int, command: str) -> str:
    """A study of the chosen plan and others of the Pareto set, spread evenly over it, with the teacher as control."""
    lines = [
        "# @package _global_",
        f"# Found by: {command}",
        "# Plans that the search found at several speeds; the name says the speed it predicted.",
        "distill:",
        f"  steps: {STEPS}",
        "study:",
        f"  name: {name}",
        "  question: What do plans cost and buy that were searched on this device, stage by stage?",
        "  control: teacher",
        "  points:",
        "    teacher: plan=teacher distill=none",
    ]
    changed = [plan for plan in found.plans if plan.mse > 0]
    named = {f"{name}-{found.teacher_s / plan.seconds:.1f}x": plan for plan in [*spread(changed, points), chosen]}
    for label, plan in sorted(named.items(), key=lambda pair: pair[1].seconds):
        lines.append(f"    {label}: >-")
        lines.append(f"      plan=teacher plan.name={name}")
        for stage, choice in plan.chosen.items():
            edit = f"plan.stages.{stage}"
            lines.append(f"      {edit}.operator={choice.operator} {edit}.channels={choice.channels}")
    return "\n".join(lines) + "\n"


def table(found: Found, chosen: Plan) -> str:
    """The set, thinned, with the chosen plan marked."""
    shown = {id(plan): plan for plan in [*spread(found.plans, SHOWN), chosen]}
    lines = [f"teacher: {found.teacher_s * 1e3:.1f} ms, all numbers predicted, before any training", ""]
    for plan in sorted(shown.values(), key=lambda plan: plan.seconds):
        stages = "  ".join(f"{stage} {choice.operator} {choice.channels}" for stage, choice in plan.chosen.items())
        mark = ">" if plan is chosen else " "
        speedup = found.teacher_s / plan.seconds
        lines.append(f"{mark} {speedup:5.2f}x {plan.seconds * 1e3:7.1f} ms {psnr_db(plan.mse):6.2f} dB  {stages}")
    return "\n".join(lines)


def spread(plans: Sequence[Plan], count: int) -> list[Plan]:
    """At most `count` plans, ends included, evenly by speed on a logarithmic scale."""
    if len(plans) <= count:
        return list(plans)
    ratio = plans[-1].seconds / plans[0].seconds
    aims = [plans[0].seconds * ratio ** (i / max(1, count - 1)) for i in range(count)]
    nearest = {min(range(len(plans)), key=lambda j: abs(plans[j].seconds / aim - 1)) for aim in aims}
    return [plans[j] for j in sorted(nearest)]
