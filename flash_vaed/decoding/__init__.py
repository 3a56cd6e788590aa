"""Decoding that fits: in chunks and tiles, planned for the memory there is, into a tensor or a file."""

from flash_vaed.decoding.memory import predicted_bytes
from flash_vaed.decoding.plan import DecodePlan, plan_decode, plan_of
from flash_vaed.decoding.stream import decode_clip, decode_stream
from flash_vaed.decoding.video import decode_to_video

__all__ = ["DecodePlan", "decode_clip", "decode_stream", "decode_to_video", "plan_decode", "plan_of", "predicted_bytes"]
