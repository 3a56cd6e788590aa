"""The one training loop: phases in order, one optimiser, one schedule over all of them.

Read aloud: take a batch, let the teacher encode it, let the phase name its terms, add them up, step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from flash_vaed.distill.phase import PHASES, Lesson, Pair
from flash_vaed.optim import HybridOptimizer, cosine_rate, split_parameters
from flash_vaed.pruning import Compressed
from flash_vaed.teacher import Teacher

Progress = Callable[[str, int, int], None]  # phase, steps done, steps in all
Row = tuple[str, int, str, float]  # phase, step, term, value

WARMUP = 5
LOG_STRIDE = 10


@dataclass(frozen=True)
class DistilRecipe:
    """Everything but the data that determines a distillation.

    phases: in order; none leaves the student as it is. steps: in all, split by the phases' shares.
    lr: scales both learning rates. dynamic: weights that follow the stage errors, or fixed ones.
    """

    phases: tuple[str, ...] = ("align", "joint", "refine")
    steps: int = 120
    lr: float = 1.0
    muon_lr: float = 0.01
    adamw_lr: float = 1e-3
    dynamic: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.phases:
            PHASES.get(name)
        if len(set(self.phases)) < len(self.phases):
            raise ValueError(f"every phase comes once, not {', '.join(self.phases)}")
        if self.phases and self.steps < len(self.phases):
            raise ValueError(f"{len(self.phases)} phases need at least as many steps, not {self.steps}")


@dataclass
class History:
    """The training curve: a row per term every `LOG_STRIDE` steps."""

    rows: list[Row] = field(default_factory=list)


def distil(
    teacher: Teacher,
    compressed: Compressed,
    batches: Iterator[Tensor],
    recipe: DistilRecipe,
    progress: Progress | None = None,
) -> History:
    """Train `compressed.decoder` in place on `batches` of (N, 3, T, H, W) in [-1, 1].

    Only what differs from the teacher trains, and the head. A loss that is not finite is a `FloatingPointError`.
    """
    history = History()
    if not recipe.phases:
        return history
    torch.manual_seed(recipe.seed)
    pair = Pair.of(teacher.decoder, compressed)
    trained = nn.ModuleDict({name: compressed.decoder.stages[name] for name in pair.changed_stages()})
    trained["head"] = compressed.decoder.head
    trained.requires_grad_(True)
    hidden, edges = split_parameters(trained, edge_prefixes=("head",))
    optimizer = HybridOptimizer(hidden, edges, recipe.muon_lr * recipe.lr, recipe.adamw_lr * recipe.lr)
    done = 0
    for name, steps in phase_steps(recipe).items():
        phase = PHASES.get(name)(pair, recipe.dynamic)
        for step in range(steps):
            x = next(batches)
            terms = phase.terms(Lesson(teacher.decoder, x, teacher.encode(x)), step / steps)
            loss = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss.item()} at step {step} of phase {name}; lower lr ({recipe.lr})"
                )
            loss.backward()
            optimizer.step(phase.rate * cosine_rate(done, recipe.steps, WARMUP))
            if step % LOG_STRIDE == 0 or step == steps - 1:
                history.rows += [(name, done, term, value.item()) for term, value in terms.items()]
            done += 1
            if progress is not None:
                progress(name, done, recipe.steps)
    compressed.decoder.requires_grad_(False)
    return history


def phase_steps(recipe: DistilRecipe) -> dict[str, int]:
    """Steps per phase, in order; they add up to `recipe.steps` and every phase has at least one."""
    shares = {name: PHASES.get(name).share for name in recipe.phases}
    total = sum(shares.values())
    steps = {name: max(1, int(recipe.steps * share / total)) for name, share in shares.items()}
    largest = max(steps, key=lambda name: steps[name])
    steps[largest] += recipe.steps - sum(steps.values())
    return steps
