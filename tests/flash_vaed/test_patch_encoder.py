"""The linear encoder: principal components rebuild what they span, every latent sees one causal patch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flash_vaed.patch_encoder import CARRIERS, PATCH, PatchEncoder, patchify

RANK = 3


def low_rank_clip(seed: int, rank: int = RANK) -> Tensor:
    """Video (2, 3, 5, 16, 24) whose patches are `rank` fixed patterns around a fixed mean. Frame 0 stands still."""
    fixed, drawn = torch.Generator().manual_seed(99), torch.Generator().manual_seed(seed)
    patterns = torch.randn(rank + 1, 3, 1, *PATCH[1:], generator=fixed)  # the same in all four frames of a patch
    weights = torch.randn(2, rank, 2, 2, 3, generator=drawn) * torch.tensor([0.3, 0.2, 0.1])[:rank].view(-1, 1, 1, 1)
    weights = torch.cat([torch.full((2, 1, 2, 2, 3), 0.1), weights], dim=1)
    x = torch.einsum("nrthw,rctyx->ncthywx", weights, patterns.expand(-1, -1, 2, -1, -1)).reshape(2, 3, 2, 16, 24)
    return x[:, :, [0, 1, 1, 1, 1]]


def fitted(overlap: int = 0) -> tuple[PatchEncoder, float]:
    encoder = PatchEncoder(RANK + CARRIERS, overlap)
    kept = encoder.fit([low_rank_clip(seed) for seed in range(20)])
    return encoder.requires_grad_(False), kept


def test_components_keep_all_of_low_rank_video():
    _, kept = fitted()
    assert kept == pytest.approx(1, abs=1e-6)
    smaller = PatchEncoder(RANK - 1 + CARRIERS)
    assert 0.5 < smaller.fit([low_rank_clip(seed) for seed in range(20)]) < 0.999


def test_latents_rebuild_low_rank_patches():
    """By least squares on seen clips, then checked on an unseen one."""
    encoder, _ = fitted()

    def design(x: Tensor) -> Tensor:
        z = encoder(x)[:, :RANK].movedim(1, -1).flatten(0, 3)
        return torch.cat([z, torch.ones(len(z), 1)], dim=1)

    seen = torch.cat([low_rank_clip(seed) for seed in range(20)])
    back = torch.linalg.lstsq(design(seen), patchify(seen)).solution
    new = low_rank_clip(77)
    torch.testing.assert_close(design(new) @ back, patchify(new), atol=1e-4, rtol=0)


def test_latents_are_white():
    encoder, _ = fitted()
    z = torch.cat([encoder(low_rank_clip(seed)) for seed in range(20)])[:, :RANK]
    rows = z.movedim(1, -1).flatten(0, 3)
    torch.testing.assert_close(rows.mean(dim=0), torch.zeros(RANK), atol=1e-4, rtol=0)
    torch.testing.assert_close(rows.T.cov(correction=0), torch.eye(RANK), atol=1e-3, rtol=0)


def test_overlap_does_not_move_the_starting_latents():
    wide, narrow = fitted(overlap=4)[0], fitted()[0]
    assert wide.weight.shape[-1] == 16
    torch.testing.assert_close(wide(low_rank_clip(5)), narrow(low_rank_clip(5)), atol=1e-4, rtol=0)


def test_five_frames_are_two_latents_and_the_first_is_an_image():
    encoder, _ = fitted()
    clip = torch.rand(1, 3, 9, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    z = encoder(clip)
    assert z.shape == (1, RANK + CARRIERS, 3, 2, 3)
    torch.testing.assert_close(encoder(clip[:, :, :1]), z[:, :, :1])
    later = clip.clone()
    later[:, :, 5:] = 0
    torch.testing.assert_close(encoder(later)[:, :, :2], z[:, :, :2])


def test_a_patch_is_four_frames_of_eight_by_eight():
    """One pixel reaches one latent only."""
    encoder = PatchEncoder(1 + CARRIERS)
    torch.nn.init.ones_(encoder.weight)
    clip = torch.zeros(1, 3, 9, 24, 24)
    clip[0, 0, 5, 8, 15] = 1
    z = encoder(clip)[0, 0].detach()
    assert z.nonzero().tolist() == [[2, 1, 1]]


def test_carriers_are_checkerboards_whatever_the_video():
    encoder, _ = fitted()
    rows, columns = encoder(low_rank_clip(1))[0, -CARRIERS:, 0]
    assert rows.tolist() == [[1, 1, 1], [-1, -1, -1]]
    assert columns.tolist() == [[1, -1, 1], [1, -1, 1]]


def test_patchify_is_blocks_of_the_clip_with_its_first_frame_repeated():
    clip = torch.rand(1, 3, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    rows = patchify(clip)
    assert rows.shape == (2 * 2 * 2, 3 * 4 * 8 * 8)
    assert torch.equal(rows[0].view(3, 4, 8, 8), clip[0, :, :1, :8, :8].expand(3, 4, 8, 8))
    assert torch.equal(rows[-1].view(3, 4, 8, 8), clip[0, :, 1:, 8:, 8:])


@pytest.mark.parametrize("shape", [(1, 3, 4, 16, 16), (1, 3, 5, 12, 16), (1, 3, 5, 16, 20), (1, 1, 5, 16, 16)])
def test_video_off_the_grid_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(N, 3, 4k \+ 1, 8h, 8w\) video, got"):
        PatchEncoder(4)(torch.zeros(shape))
