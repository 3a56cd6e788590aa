"""The first plan that fits is taken; when memory runs out all the same, nothing is lost."""

from __future__ import annotations

import pytest
import torch

import flash_vaed.decoder
from flash_vaed.decoding import DecodePlan, decode_stream, plan_decode, predicted_bytes
from flash_vaed.decoding.plan import in_units, plans_from
from flash_vaed.decoding.stream import is_out_of_memory
from tests.flash_vaed.decoding.test_tiles import SPECS
from tests.flash_vaed.examples import random_decoder, random_latents

SAME = {"atol": 1e-4, "rtol": 0.0}


class Cramped:
    """Replaces an entry or a stage: out of memory above so many values."""

    def __init__(self, part: torch.nn.Module, limit: int, error: Exception) -> None:
        self.forward, self.limit, self.error, self.raised = part.forward, limit, error, 0
        part.forward = self  # type: ignore[method-assign]

    def __call__(self, x_NCTHW, stream):
        if x_NCTHW[0, 0].numel() > self.limit:
            self.raised += 1
            raise self.error
        return self.forward(x_NCTHW, stream)


CPU_ERROR = RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 5 bytes.")
ERRORS = [CPU_ERROR, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), MemoryError()]


def test_plans_stand_in_line_from_the_whole_clip_to_small_tiles():
    line = [(p.chunk, p.tile) for p in plans_from(DecodePlan(), (1, 4, 6, 10, 20))]
    assert line == [(None, None), (4, None), (2, None), (1, None), (1, (10, 16)), (1, (8, 8)), (1, (4, 4))]
    assert [p.chunk for p in plans_from(DecodePlan(), (1, 4, 40, 4, 4))] == [None, 16, 8, 4, 2, 1]
    assert DecodePlan(3, (6, 6)).smaller(9, 50, 50) == DecodePlan(2, (6, 6))
    assert DecodePlan(16).smaller(3, 4, 4) == DecodePlan(2)


def test_a_plan_says_what_it_does():
    assert str(DecodePlan()) == "the whole clip at once"
    assert str(DecodePlan(1, predicted_bytes=35_400_000)) == "chunks of 1 latent, about 35 MB"
    plan = DecodePlan(4, (32, 32), 1_240_000_000)
    assert str(plan) == "chunks of 4 latents, tiles of 32x32 latent pixels, about 1.2 GB"
    assert in_units(1_000) == "1 MB"


def test_the_first_plan_that_fits_is_taken():
    decoder, shape = random_decoder(SPECS["wan"]), (1, 4, 5, 8, 40)
    needs = {p: predicted_bytes(decoder, shape, chunk=p.chunk, tile=p.tile) for p in plans_from(DecodePlan(), shape)}
    for plan, needed in list(needs.items())[::2]:
        chosen = plan_decode(decoder, shape, memory_budget=needed)
        assert chosen.predicted_bytes <= needed
        earlier = list(needs)[: list(needs).index(DecodePlan(chosen.chunk, chosen.tile))]
        assert all(needs[other] > needed for other in earlier), plan


def test_a_budget_that_nothing_fits_names_the_least():
    teacher, shape = random_decoder(SPECS["wan"]), (1, 4, 3, 20, 20)
    least = min(predicted_bytes(teacher, shape, chunk=p.chunk, tile=p.tile) for p in plans_from(DecodePlan(), shape))
    with pytest.raises(ValueError, match=rf"do not decode within 1 MB: the least is .* about {in_units(least)}; allow"):
        plan_decode(teacher, shape, memory_budget=1_000_000)


def test_decode_keeps_to_a_budget(monkeypatch):
    decoder, z_NCthw = random_decoder(SPECS["wan"]), random_latents(5, 8, 8)
    whole, plans = predicted_bytes(decoder, z_NCthw.shape), []
    decode = flash_vaed.decoder.decode_clip
    monkeypatch.setattr(flash_vaed.decoder, "decode_clip", lambda d, z, plan: plans.append(plan) or decode(d, z, plan))
    frames = decoder.decode(z_NCthw, memory_budget=whole - 1)
    assert plans[0].predicted_bytes < whole
    assert plans[0].chunk in (4, 2, 1)
    torch.testing.assert_close(frames, decoder.decode(z_NCthw), **SAME)
    torch.testing.assert_close(decoder.decode(z_NCthw, memory_budget="auto"), frames, **SAME)
    assert plans[2].chunk is None


@pytest.mark.parametrize("budget", [0, -5, "plenty"])
def test_an_impossible_budget_is_refused(teacher, budget):
    with pytest.raises(ValueError, match="memory_budget is a positive number of bytes or 'auto'"):
        teacher.decode(random_latents(1), memory_budget=budget)


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore:out of memory")
@pytest.mark.parametrize("error", ERRORS, ids=["cpu", "cuda", "python"])
@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_out_of_memory_steps_down_and_loses_nothing(name, error):
    """Through every chunk, at last single latents in small tiles."""
    z_NCthw = random_latents(5, 3, 40)
    decoder = random_decoder(SPECS[name])
    expected = decoder.decode(z_NCthw)
    cramped = Cramped(decoder.stages["up1"], limit=1 * 6 * 48, error=error)
    with pytest.warns(RuntimeWarning, match=r"out of memory with the whole clip at once; going on with chunks of 4"):
        frames = decoder.decode(z_NCthw)
    assert cramped.raised >= 4
    torch.testing.assert_close(frames, expected, **SAME)


def test_a_stream_goes_on_from_where_it_stands(teacher):
    """The latents decoded before are not decoded again, and all that follow come in small pieces."""
    decoder = random_decoder()
    z_NCthw = random_latents(9)
    cramped = Cramped(decoder.entry, limit=4 * 2 * 2, error=MemoryError())
    pieces = iter(z_NCthw.split([3, 5, 1], dim=2))
    with pytest.warns(RuntimeWarning, match="going on with chunks of 4 latents") as told:
        frames = list(decode_stream(decoder, pieces))
    assert len(told) == cramped.raised == 1
    assert [x.shape[2] for x in frames] == [9, 16, 4, 4]
    torch.testing.assert_close(torch.cat(frames, dim=2), teacher.decode(z_NCthw), **SAME)


def test_at_the_end_of_the_line_the_error_is_raised():
    decoder = random_decoder()
    Cramped(decoder.entry, limit=0, error=MemoryError("no room"))
    with pytest.warns(RuntimeWarning), pytest.raises(MemoryError, match="no room"):
        decoder.decode(random_latents(3, 4, 8))


@pytest.mark.filterwarnings("error")
def test_another_error_is_not_taken_for_memory():
    decoder = random_decoder()
    Cramped(decoder.entry, limit=0, error=RuntimeError("size mismatch"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        decoder.decode(random_latents(3))


def test_a_real_failed_allocation_is_recognised():
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
