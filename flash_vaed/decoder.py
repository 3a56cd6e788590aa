"""The decoder every family shares: a loop over named stages, with its memory passed in and handed back.

Legend: N batch, C channels, t h w latent sizes, T frames, H W pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from flash_vaed.contract import check_latents
from flash_vaed.decoding.plan import plan_decode, plan_of
from flash_vaed.decoding.stream import decode_clip
from flash_vaed.families import FAMILIES
from flash_vaed.spec import DecoderSpec, LatentSpace
from flash_vaed.state import DecoderState, Stream


class Decoder(nn.Module):
    """Raw latents (N, C, t, h, w) -> frames (N, 3, T, H, W) in [-1, 1].

    `decode` takes a clip at once or in chunks, with the same result; `step` is one chunk with the state as an argument.
    A decoder that looks ahead gives a step's frames later, the last ones when it is told that the stream ends.
    """

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.entry, self.stages, self.head = FAMILIES.get(spec.family).build(spec)
        for path, module in self.named_modules():
            if hasattr(module, "slot"):
                module.slot = path

    @property
    def latents(self) -> LatentSpace:
        """The latent space this decoder reads; owns `normalize` and `denormalize`."""
        return self.spec.latents

    def init_state(self) -> DecoderState:
        """The state in front of a clip's first latent."""
        return DecoderState()

    @torch.no_grad()
    def step(self, z_NCthw: Tensor, state: DecoderState, last: bool = False) -> tuple[Tensor, DecoderState]:
        """Decode the next latents of a stream: frames in [-1, 1] and the state behind them. `state` is not changed.

        last: no latents follow. Only a decoder that looks ahead needs to know; it may hold frames back until then.
        """
        self.check(z_NCthw)
        stream = Stream(state, last)
        x = self.walk(z_NCthw, stream)
        return x.clamp(-1, 1), stream.after(state.latents_seen + z_NCthw.shape[2])

    def decode(
        self,
        z_NCthw: Tensor,
        chunk: int | None = None,
        tile: int | tuple[int, int] | None = None,
        memory_budget: int | str | None = None,
        expect: str | None = "raw",
    ) -> Tensor:
        """Decode a clip: frames (N, 3, T, H, W) in [-1, 1], the same up to rounding however it is decoded.

        chunk: latents at a time (None: all at once). tile: side in latent pixels, or (rows, columns), of the tiles that
        are decoded one by one (None: whole frames). memory_budget: bytes, or "auto" for what is free; smaller chunks,
        then tiles are planned until the prediction fits, a `ValueError` where none does; on a CPU freed memory is then
        given back at once, which costs some time. When memory runs out all the same, the rest is decoded in smaller
        pieces, with a warning. expect: what the latents should look like; a `LatentWarning` says when they look
        normalised, or like another model's. None: do not look.
        """
        plan = plan_of(chunk, tile)
        self.check(z_NCthw)
        if expect is not None:
            check_latents(z_NCthw, self.latents, expect, stacklevel=3)
        if memory_budget is not None:
            plan = plan_decode(self, z_NCthw.shape, z_NCthw.dtype, memory_budget, plan.chunk, plan.tile)
        return decode_clip(self, z_NCthw, plan)

    def parts(self) -> dict[str, nn.Module]:
        """Entry, every stage and head by name, in the order they run."""
        return {"entry": self.entry, **self.stages, "head": self.head}

    def forward(self, z_NCthw: Tensor) -> Tensor:
        """A whole clip with gradients and without the clamp: what training sees."""
        self.check(z_NCthw)
        return self.walk(z_NCthw, Stream.fresh())

    def features(self, z_NCthw: Tensor) -> dict[str, Tensor]:
        """What leaves entry, stages and head ("entry", stage names, "frames") for a whole clip, unclamped."""
        self.check(z_NCthw)
        return dict(self._visit(z_NCthw, Stream.fresh()))

    def _visit(self, z_NCthw: Tensor, stream: Stream) -> Iterator[tuple[str, Tensor]]:
        x = self.entry(z_NCthw, stream)
        yield "entry", x
        for name, stage in self.stages.items():
            x = stage(x, stream)
            yield name, x
        yield "frames", self.head(x, stream)

    def walk(self, z_NCthw: Tensor, stream: Stream) -> Tensor:
        last = deque(self._visit(z_NCthw, stream), maxlen=1)  # features are freed as soon as they are used
        return last.pop()[1]

    def check(self, z_NCthw: Tensor) -> None:
        """A `ValueError` unless these are latents (N, C, t, h, w) of this decoder's space."""
        expected = self.spec.latents.channels
        if z_NCthw.ndim != 5 or z_NCthw.shape[1] != expected or 0 in z_NCthw.shape:
            raise ValueError(
                f"expected {self.latents.name} latents (N, {expected}, t, h, w), got {tuple(z_NCthw.shape)}"
            )


def seeded_decoder(spec: DecoderSpec, seed: int) -> Decoder:
    """A frozen decoder with random weights, the same for the same seed: noise at the real speed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Decoder(spec).eval().requires_grad_(False)
