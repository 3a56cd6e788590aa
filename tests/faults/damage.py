"""What can happen to the bytes of a file, as a Hypothesis strategy: a few edits of a sound one, or noise."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hypothesis import strategies as st

NUMBERS = (0, 1, -1, 0x7F, 0xFF, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**60, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    b"",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"x"',
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"0.5",
    b"F16",
    b"I64",
    b"[" * 2000,
)
SHAPE = re.compile(rb'(?:"shape":\[|\'shape\': \()((?:\d+,? ?)+)[\])]')  # of safetensors and NumPy
TOKEN = re.compile(rb'-?\d+(?:\.\d+)?|"[^"]*"|true|false|null')


@st.composite
def damaged(draw: st.DrawFn, sound: Sequence[bytes]) -> bytes:
    """One of `sound` after one to four edits; now and then bytes that were never a file."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(sound))
    for _ in range(draw(st.integers(1, 4))):
        edit = draw(st.sampled_from(EDITS))
        content = edit(draw, content, sound)
    return content


def _place(draw: st.DrawFn, content: bytes) -> int:
    """A position; the first bytes, where headers are, as often as all others together."""
    end = max(0, len(content) - 1)
    return draw(st.one_of(st.integers(0, min(end, 256)), st.integers(max(0, end - 256), end), st.integers(0, end)))


def flip(draw: st.DrawFn, content: bytes, _sound: Sequence[bytes]) -> bytes:
    """Change one byte."""
    at = _place(draw, content)
    return content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :]


def overwrite(draw: st.DrawFn, content: bytes, _sound: Sequence[bytes]) -> bytes:
    """A number that is at some limit, in either byte order and 1 to 8 bytes."""
    at, size = _place(draw, content), draw(st.sampled_from((1, 2, 4, 8)))
    number = draw(st.sampled_from(NUMBERS)) % 2 ** (8 * size)
    return content[:at] + number.to_bytes(size, draw(st.sampled_from(("little", "big")))) + content[at + size :]


def truncate(draw: st.DrawFn, content: bytes, _sound: Sequence[bytes]) -> bytes:
    """The front part alone."""
    return content[: _place(draw, content)]


def remove(draw: st.DrawFn, content: bytes, _sound: Sequence[bytes]) -> bytes:
    """Take a piece out."""
    at = _place(draw, content)
    return content[:at] + content[at + draw(st.integers(1, 512)) :]


def insert(draw: st.DrawFn, content: bytes, _sound: Sequence[bytes]) -> bytes:
    """Put bytes in."""
    at = _place(draw, content)
    return content[:at] + draw(st.binary(min_size=1, max_size=16)) + content[at:]


def splice(draw: st.DrawFn, content: bytes, sound: Sequence[bytes]) -> bytes:
    """The front of one file and the back of another."""
    other = draw(st.sampled_from(sound))
    return content[: _place(draw, content)] + other[_place(draw, other) :]


def retell(draw: st.DrawFn, content: bytes, _sound: Sequence[bytes]) -> bytes:
    """Another number or word where text stands: JSON, the headers of safetensors and NumPy files."""
    tokens = list(TOKEN.finditer(content, 0, 20_000))
    if not tokens:
        return content
    token = draw(st.sampled_from(tokens))
    told = draw(st.one_of(st.sampled_from(WORDS), st.sampled_from(NUMBERS).map(lambda number: str(number).encode())))
    if draw(st.booleans()):
        told = told[: len(token[0])].ljust(len(token[0]))  # lengths that stand elsewhere stay true
    return content[: token.start()] + told + content[token.end() :]


def reshape(draw: st.DrawFn, content: bytes, _sound: Sequence[bytes]) -> bytes:
    """The same numbers in another shape, of other order or fewer axes: a sound file that is not what is wanted."""
    shapes = list(SHAPE.finditer(content, 0, 20_000))
    if not shapes:
        return content
    shape = draw(st.sampled_from(shapes))
    sizes = draw(st.permutations([int(size) for size in shape[1].replace(b" ", b"").strip(b",").split(b",")]))
    joined = draw(st.integers(1, len(sizes)))
    told = ",".join(map(str, [math.prod(sizes[:joined]), *sizes[joined:]])).encode()
    if len(told) > len(shape[1]):
        return content
    return content[: shape.start(1)] + told.ljust(len(shape[1])) + content[shape.end(1) :]


EDITS = (flip, overwrite, truncate, remove, insert, splice, retell, retell, reshape)
