"""Clips: where they come from, how they are decoded, and how they become tensors."""

from bench.data.clips import ClipError, ClipItem, ClipSet, UnreadableClip, open_clips
from bench.data.latents import LatentDump
from bench.data.protocol import ClipProtocol
from bench.data.sampler import CropSampler

__all__ = [
    "ClipError",
    "ClipItem",
    "ClipProtocol",
    "ClipSet",
    "CropSampler",
    "LatentDump",
    "UnreadableClip",
    "open_clips",
]
