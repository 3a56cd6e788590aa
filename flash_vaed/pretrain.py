"""Train a small teacher from real video: Wan's architecture, all five stages, in CPU-minutes.

The latent space starts as the principal components of video patches, so that nothing has to be discovered before the
decoder can learn; encoder and decoder then train together. Residual branches and attention start at zero: the network
begins as its resampling path. The recipe is data and is stored beside the weights.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from flash_vaed.decoder import Decoder
from flash_vaed.families.wan import FrameAttention, ResidualBlock, wan_spec
from flash_vaed.optim import HybridOptimizer, cosine_rate, follow, split_parameters
from flash_vaed.patch_encoder import PatchEncoder
from flash_vaed.snapshot import load_snapshot, save_snapshot
from flash_vaed.spec import DecoderSpec, LatentSpace
from flash_vaed.teacher import Teacher

SNAPSHOT_STEPS = 100
ENCODER_RESCALE = 0.1  # how fast latents that drift are brought back to unit scale

Progress = Callable[[int, dict[str, float]], None]


class Batches(Protocol):
    """An endless source of (N, 3, T, H, W) video in [-1, 1] that can be resumed where it stood."""

    def __iter__(self) -> Iterator[Tensor]: ...
    def __next__(self) -> Tensor: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class PretrainRecipe:
    """Everything but the data that determines a pretrained teacher."""

    latent_channels: int = 48
    base_channels: int = 24
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks_per_stage: int = 2
    overlap: int = 4  # pixels an encoder patch reaches into its neighbours
    fit_batches: int = 60  # batches seen by the principal component analysis
    steps: int = 3000
    warmup: int = 20
    muon_lr: float = 0.03
    muon_decay: float = 0.2  # without it the resampling path outgrows the residual branches, which then do nothing
    adamw_lr: float = 2e-3
    encoder_lr: float = 2e-3
    ema: float = 0.995
    bfloat16: bool = True
    seed: int = 0


@dataclass
class Record:
    """The run's curve: (step, loss, learning-rate factor), its CPU time, and the variance the patch analysis kept."""

    variance_kept: float = 0.0
    cpu_s: float = 0.0
    curve: list[tuple[int, float, float]] = field(default_factory=list)


def pretrain(
    batches: Batches, recipe: PretrainRecipe, snapshot: Path | None = None, progress: Progress | None = None
) -> tuple[Teacher, Record]:
    """Train encoder and decoder on `batches` of (N, 3, T, H, W) in [-1, 1]; a loss that is not finite stops the run.

    snapshot: a file that holds the training state every `SNAPSHOT_STEPS` steps; where it exists already the run goes on
    from it.
    """
    torch.manual_seed(recipe.seed)
    run = _Run(recipe)
    saved = load_snapshot(snapshot) if snapshot is not None else None
    if saved is None:
        run.start(batches)
    else:
        run.load(saved, batches)
    while run.steps_done < recipe.steps:
        loss = run.step(next(batches))
        if progress is not None:
            progress(run.steps_done, {"loss": loss})
        if snapshot is not None and run.steps_done % SNAPSHOT_STEPS == 0:
            save_snapshot(snapshot, run.state(batches))
    return _finish(run.average, recipe, batches), run.record


class _Run:
    """Model, average, optimisers and record of one training: what a snapshot holds."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        self.recipe, self.record, self.steps_done = recipe, Record(), 0
        self.encoder = PatchEncoder(recipe.latent_channels, recipe.overlap)
        self.decoder = Decoder(_spec(recipe, _unit_latents(recipe.latent_channels)))
        start_as_resampling_path(self.decoder)
        self.model = nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder})
        self.average = copy.deepcopy(self.model)
        hidden, edges = split_parameters(self.decoder, edge_prefixes=("entry.latent_mix", "head"))
        self.optimizers = [
            HybridOptimizer(hidden, edges, recipe.muon_lr, recipe.adamw_lr, recipe.muon_decay),
            HybridOptimizer([], self.encoder.parameters(), 0.0, recipe.encoder_lr),
        ]

    def start(self, batches: Batches) -> None:
        """Fit the patch analysis: the latent space that training sets out from."""
        self.record.variance_kept = self.encoder.fit(list(itertools.islice(batches, self.recipe.fit_batches)))
        self.average.load_state_dict(self.model.state_dict())

    def step(self, x_NCTHW: Tensor) -> float:
        started_s = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            z = self.encoder(x_NCTHW)
            reconstruction = self.decoder(z.to(memory_format=torch.channels_last_3d))
        loss = reconstruction_loss(reconstruction.float(), x_NCTHW)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.steps_done}; lower muon_lr ({self.recipe.muon_lr})"
            )
        loss.backward()
        rate = cosine_rate(self.steps_done, self.recipe.steps, self.recipe.warmup)
        for optimizer in self.optimizers:
            optimizer.step(rate)
        self.encoder.rescale(z, ENCODER_RESCALE * rate)
        self.steps_done += 1
        follow(self.average, self.model, min(self.recipe.ema, self.steps_done / (self.steps_done + 9)))
        self.record.curve.append((self.steps_done, loss.item(), rate))
        self.record.cpu_s += time.process_time() - started_s
        return loss.item()

    def state(self, batches: Batches) -> dict[str, Any]:
        return {
            "recipe": repr(self.recipe),
            "steps_done": self.steps_done,
            "record": dataclasses.asdict(self.record),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "batches": batches.state_dict(),
        }

    def load(self, saved: dict[str, Any], batches: Batches) -> None:
        if saved.get("recipe") != repr(self.recipe):
            raise ValueError("the snapshot belongs to another recipe; delete it or choose another output folder")
        self.steps_done, self.record = saved["steps_done"], Record(**saved["record"])
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        batches.load_state_dict(saved["batches"])


def reconstruction_loss(candidate_NCTHW: Tensor, target_NCTHW: Tensor) -> Tensor:
    """Mean over frames of the log squared error, in nepers: PSNR itself, so easy and hard clips weigh alike."""
    error = (candidate_NCTHW - target_NCTHW).square().mean(dim=(1, 3, 4))
    return (error + 1e-4).log().mean() / 2


def start_as_resampling_path(decoder: Decoder) -> None:
    """Zero the last convolution of every residual branch and every attention output."""
    for module in decoder.modules():
        if isinstance(module, ResidualBlock):
            _zero(module.conv2)
        if isinstance(module, FrameAttention):
            _zero(module.proj)


def _zero(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


@torch.no_grad()
def _finish(average: nn.ModuleDict, recipe: PretrainRecipe, batches: Batches) -> Teacher:
    """Measure the learned latents' statistics and build the teacher that owns them."""
    encoder: PatchEncoder = average["encoder"].eval().requires_grad_(False)  # type: ignore[assignment]
    latents = torch.cat([encoder(x).transpose(0, 1).flatten(1) for x in itertools.islice(batches, 20)], dim=1)
    statistics = (latents.mean(dim=1), latents.std(dim=1))
    mean, std = (tuple(round(value, 4) for value in statistic.tolist()) for statistic in statistics)
    decoder = Decoder(_spec(recipe, LatentSpace("bundled", mean, std)))
    decoder.load_state_dict(average["decoder"].state_dict())
    return Teacher("pretrained", decoder.eval().requires_grad_(False), encoder)


def _unit_latents(channels: int) -> LatentSpace:
    return LatentSpace("unmeasured", (0.0,) * channels, (1.0,) * channels)


def _spec(recipe: PretrainRecipe, latents: LatentSpace) -> DecoderSpec:
    return wan_spec(recipe.base_channels, recipe.multipliers, recipe.blocks_per_stage, latents=latents)
