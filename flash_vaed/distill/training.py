"""The one training loop, for one phase: a student, a plan and batches in, the same student trained out.

Read aloud: take a batch, let the phase name its terms, add them up, step; now and then leave a snapshot. What batch
comes when is a number, not a state, so a training that was killed goes on as if nothing had been.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from flash_vaed.decoder import Decoder
from flash_vaed.distill.lesson import Batches, Lesson
from flash_vaed.distill.losses import PixelLoss
from flash_vaed.distill.pair import Pair
from flash_vaed.distill.phase import PHASES, Judgement, Phase
from flash_vaed.distill.processes import mean_over_processes, rank_and_count
from flash_vaed.distill.recipe import DistilRecipe
from flash_vaed.distill.settings import PhasePlan, Settings
from flash_vaed.lpips import load_lpips
from flash_vaed.optim import HybridOptimizer, cosine_rate, follow, split_parameters
from flash_vaed.pruning import Compressed
from flash_vaed.snapshot import load_snapshot, save_snapshot

WARMUP = 5  # steps
LOG_STRIDE = 10
FULL_RATE_ERROR = 0.1  # root mean squared error to the teacher, frames in [-1, 1] (26 dB), from which the rate is full
START_BATCHES = 2  # on which that error is measured

Row = tuple[str, int, str, float]  # phase, step, name, value


@dataclass(frozen=True)
class Progress:
    """One finished step: which phase, how many of its steps are done, and the values of the moment."""

    phase: str
    done: int
    total: int
    values: dict[str, float]


@dataclass
class History:
    """The training curve every `LOG_STRIDE` steps: terms of the loss, and what else a phase watches."""

    losses: list[Row] = field(default_factory=list)
    watched: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, losses: Iterable[Sequence[Any]], watched: Iterable[Sequence[Any]]) -> History:
        """A copy from rows as they come back from a file, as lists."""
        return cls([tuple(row) for row in losses], [tuple(row) for row in watched])  # type: ignore[misc]

    @property
    def steps(self) -> int:
        """How many steps it covers."""
        return 1 + max((step for _, step, _, _ in self.losses), default=-1)


@dataclass(frozen=True)
class Snapshots:
    """Where the state of a phase is kept while it is trained, and how often; 0 seconds is every step. A file that
    cannot be written is said and costs nothing but safety.
    """

    path: Path
    every_s: float = 600.0
    warn: Callable[[str], None] = print


def distil(
    teacher: Decoder,
    compressed: Compressed,
    batches: Batches,
    recipe: DistilRecipe,
    progress: Callable[[Progress], None] | None = None,
) -> History:
    """Train `compressed.decoder` in place, phase after phase. Only what differs from the teacher trains, and the head.

    A loss or a gradient that is not finite is a `FloatingPointError`.
    """
    history = History()
    for plan in recipe.plans():
        history = train_phase(teacher, compressed, plan, recipe.settings, batches, history, None, progress)
    return history


def train_phase(
    teacher: Decoder,
    compressed: Compressed,
    plan: PhasePlan,
    settings: Settings,
    batches: Batches,
    before: History | None = None,
    snapshots: Snapshots | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> History:
    """Train `compressed.decoder` in place by one phase; the history of what came `before` goes on.

    In a process group every process calls this with the same arguments and gets the same student; each takes its own
    part of every batch. snapshots: where to go on from, and to leave a state for the next start. On a CPU in float32 a
    training that was stopped and goes on gives the very weights of one that was not.
    """
    run = _Run(teacher, compressed, plan, settings, before or History())
    saved = load_snapshot(snapshots.path) if snapshots is not None else None
    if saved is None:
        run.start(batches)
    else:
        run.load(saved)
    written_s = time.monotonic()
    while not run.finished():
        values = run.step(batches)
        if progress is not None:
            progress(Progress(plan.name, run.steps, plan.steps, values))
        if snapshots is not None and time.monotonic() - written_s >= snapshots.every_s:
            _keep(snapshots, run)
            written_s = time.monotonic()
    run.finish()
    return run.history


def rate_of_start(error: float) -> float:
    """The factor on a phase's rates for a student that starts with this root mean squared error to its teacher.

    An orthogonalised or normalised update has the size of the rate, however small the gradient is: at the full rate a
    student that is right to a thousandth is first thrown to where the rate leaves it. So steps are as large as the
    error they are to mend.
    """
    return min(1.0, error / FULL_RATE_ERROR)


class _Run:
    """One phase under way: what a snapshot holds."""

    def __init__(
        self, teacher: Decoder, compressed: Compressed, plan: PhasePlan, settings: Settings, before: History
    ) -> None:
        self.plan, self.settings = plan, settings
        self.pair = Pair.of(teacher, compressed, settings.checkpointing, settings.precision)
        self.trained = self.pair.trained().requires_grad_(True)
        pixel_loss = PixelLoss(load_lpips() if settings.perceptual else None)
        self.phase: Phase[Any] = PHASES.get(plan.name)(self.pair, plan.options, pixel_loss)
        self._judge = _Judge(self.trained, self.phase)
        self.rank, self.processes = rank_and_count()
        if settings.batch % self.processes:
            raise ValueError(f"a batch of {settings.batch} clips cannot be split over {self.processes} processes")
        self._shared = self._judge if self.processes == 1 else DistributedDataParallel(self._judge)
        hidden, edges = split_parameters(self.trained, edge_prefixes=("head",))
        self.optimizer = HybridOptimizer(hidden, edges, settings.muon_lr * settings.lr, settings.adamw_lr * settings.lr)
        self.average = copy.deepcopy(self.trained).requires_grad_(False) if settings.ema else None
        self.steps, self.rate = 0, 1.0
        self.history = History.of(before.losses, before.watched)
        self._steps_before = before.steps

    def start(self, batches: Batches) -> None:
        """Measure how far the student is from its teacher, which decides the rate."""
        if self.settings.follow_start:
            self.rate = rate_of_start(self._error(batches))

    @torch.no_grad()
    def _error(self, batches: Batches) -> float:
        errors = []
        for index in range(START_BATCHES):
            lesson = self._lesson(batches, index)
            ours = self.pair.student_features(lesson.latents)["frames"]
            errors.append((ours - lesson.features["frames"]).square().mean().item())
        return math.sqrt(mean_over_processes({"mse": sum(errors) / len(errors)})["mse"])

    def finished(self) -> bool:
        return self.steps >= self.plan.steps or self.phase.done()

    def step(self, batches: Batches) -> dict[str, float]:
        """One step of the optimiser; the loss and what is watched, means over all processes."""
        accumulate, judgements = self.settings.accumulate, []
        for micro in range(accumulate):
            lesson = self._lesson(batches, self.steps * accumulate + micro)
            with self._unshared() if micro < accumulate - 1 else contextlib.nullcontext():
                loss, judgement = self._shared(lesson, self.steps / self.plan.steps)
                (loss / accumulate).backward()
            judgements.append(judgement)
        loss_now, terms, watched = self._means(judgements)
        try:
            if not math.isfinite(loss_now):
                raise FloatingPointError(f"the loss is {loss_now}")
            warmup = min(WARMUP, self.plan.steps // 2)
            rate = self.phase.rate * self.rate * cosine_rate(self.steps, self.plan.steps, warmup)
            norm = self.optimizer.step(rate, self.settings.max_grad_norm)
        except FloatingPointError as error:
            raise FloatingPointError(
                f"{error} at step {self.steps} of phase {self.plan.name}; lower lr ({self.settings.lr})"
            ) from None
        self.phase.after_step(loss_now)
        if self.average is not None:
            follow(self.average, self.trained, min(self.settings.ema, (1 + self.steps) / (10 + self.steps)))
        if self.steps % LOG_STRIDE == 0 or self.steps == self.plan.steps - 1:
            at = self._steps_before + self.steps
            self.history.losses += [(self.plan.name, at, name, value) for name, value in terms.items()]
            watched_now = {**watched, "gradient norm": norm, "rate": rate}
            self.history.watched += [(self.plan.name, at, name, value) for name, value in watched_now.items()]
        self.steps += 1
        return {"loss": loss_now, **watched}

    def finish(self) -> None:
        """The student as it is to be used: the averaged weights where there are any, and nothing that learns."""
        if self.average is not None:
            self.trained.load_state_dict(self.average.state_dict())
        self.pair.student.requires_grad_(False)

    def state(self) -> dict[str, Any]:
        return {
            "of": self._fingerprint(),
            "steps": self.steps,
            "rate": self.rate,
            "trained": self.trained.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "phase": self.phase.state_dict(),
            "history": [self.history.losses, self.history.watched],
        }

    def load(self, saved: dict[str, Any]) -> None:
        if saved.get("of") != self._fingerprint():
            raise ValueError("the snapshot belongs to another phase or other settings; delete it to start over")
        self.steps, self.rate = saved["steps"], saved["rate"]
        self.trained.load_state_dict(saved["trained"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.phase.load_state_dict(saved["phase"])
        self.history = History.of(*saved["history"])

    def _fingerprint(self) -> str:
        return repr((self.plan, dataclasses.asdict(self.settings)))

    def _lesson(self, batches: Batches, index: int) -> Lesson:
        batch = batches(index, range(self.rank, self.settings.batch, self.processes))
        return Lesson(self.pair.teacher, batch, self.settings.precision)

    def _unshared(self) -> contextlib.AbstractContextManager[Any]:
        """Gradients stay in this process until the last micro-batch."""
        shared = self._shared
        return shared.no_sync() if isinstance(shared, DistributedDataParallel) else contextlib.nullcontext()

    def _means(self, judgements: list[Judgement]) -> tuple[float, dict[str, float], dict[str, float]]:
        """Loss, terms and watched values, means over micro-batches and processes."""
        count = len(judgements)
        terms = {name: sum(j.terms[name].item() for j in judgements) / count for name in judgements[0].terms}
        watched = {name: sum(j.watched[name] for j in judgements) / count for name in judgements[0].watched}
        named = {f"term {name}": value for name, value in terms.items()} | watched
        means = iter(mean_over_processes(named).values())
        terms = dict(zip(terms, itertools.islice(means, len(terms)), strict=True))
        return sum(terms.values()), terms, dict(zip(watched, means, strict=True))


class _Judge(nn.Module):
    """A phase as a module whose parameters are those that learn, which is what a wrapper for processes asks for."""

    def __init__(self, trained: nn.ModuleDict, phase: Phase[Any]) -> None:
        super().__init__()
        self.trained, self._phase = trained, phase

    def forward(self, lesson: Lesson, progress: float) -> tuple[Tensor, Judgement]:
        judgement = self._phase.judge(lesson, progress)
        return torch.stack(list(judgement.terms.values())).sum(), judgement


def _keep(snapshots: Snapshots, run: _Run) -> None:
    if run.rank:
        return
    try:
        save_snapshot(snapshots.path, run.state())
    except OSError as error:
        snapshots.warn(f"cannot write the snapshot {snapshots.path} ({error.strerror}); training goes on without it")
