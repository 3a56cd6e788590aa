"""A study as a table: plain text for the terminal, Markdown for a document, JSON for programs.

One table per study, device and protocol, slowest variant first; a star marks the front of that table for speed-up and
PSNR against source. What failed and what could not be measured is said once below it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.analysis import units
from bench.analysis.pareto import GROUP, pareto_front

Row = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """What one table shows. `rows` and `failed` hold plain values (None where there is no number)."""

    study: str
    device_id: str
    device_name: str
    protocol_id: str
    rows: list[Row]
    failed: list[Row] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One column of the table: two lines of heading, and how a row is written in it."""

    heading: tuple[str, str]
    write: Callable[[Row], str]


def _fixed(name: str, digits: int, *heading: str) -> Cell:
    return Cell((heading[0], heading[1]), lambda row: units.number(row.get(name), digits))


def _short(name: str, *heading: str) -> Cell:
    return Cell((heading[0], heading[1]), lambda row: units.short(row.get(name)))


VARIANT = Cell(("", "variant"), lambda row: f"{'*' if row['on_front'] else ' '} {row['label']}")
NUMBERS = (
    Cell(("speed-up", "[95 %]"), lambda row: units.interval(row["speedup"], row["speedup_low"], row["speedup_high"])),
    _fixed("decode_time_ms", 1, "decode", "ms"),
    _fixed("psnr_source", 2, "PSNR dB", "source"),
    _fixed("psnr_teacher", 2, "PSNR dB", "teacher"),
    _fixed("psnr_untrained_teacher", 2, "untrained", "teacher"),
    _fixed("ssim_source", 4, "SSIM", "source"),
    _fixed("ssim_teacher", 4, "SSIM", "teacher"),
    _fixed("lpips_source", 4, "LPIPS", "source"),
    _fixed("lpips_teacher", 4, "LPIPS", "teacher"),
    _fixed("sharpness_source", 3, "sharp", "source"),
    _fixed("sharpness_teacher", 3, "sharp", "teacher"),
    _short("parameters", "", "params"),
    _short("macs_per_frame", "MACs", "/frame"),
)


def blocks(summary: pd.DataFrame, study: str | None = None) -> Iterator[Block]:
    """The tables of a summary; `study` keeps one of them and is a `ValueError` when nothing is stored for it."""
    if study is not None and study not in set(summary["study"]):
        known = ", ".join(sorted(set(summary["study"]))) or "none"
        raise ValueError(f"no run of study {study!r} is stored; stored studies: {known}")
    for (name, device_id, protocol_id), group in summary.groupby(["study", *GROUP]):
        if study in (None, name):
            group = group.assign(on_front=pareto_front(group)).sort_values("speedup", kind="stable")
            rows = [_plain(row) for row in group.to_dict("records")]
            yield Block(
                study=str(name), device_id=str(device_id), device_name=str(rows[0]["device_name"]),
                protocol_id=str(protocol_id), rows=[row for row in rows if row["status"] == "ok"],
                failed=[row for row in rows if row["status"] != "ok"], unavailable=_reasons(rows),
            )  # fmt: skip


def render_text(summary: pd.DataFrame, study: str | None = None) -> str:
    """The tables as aligned plain text."""
    return _join(_text_block(block) for block in blocks(summary, study))


def render_markdown(summary: pd.DataFrame, study: str | None = None) -> str:
    """The tables as Markdown."""
    return _join(_markdown_block(block) for block in blocks(summary, study))


def to_json(summary: pd.DataFrame, study: str | None = None) -> str:
    """The tables as one JSON document: a list of blocks, every summary column in each row, null where no number is."""
    return json.dumps([block.__dict__ for block in blocks(summary, study)], indent=1, allow_nan=False)


def _join(parts: Iterator[str]) -> str:
    return "\n\n".join(parts) or "No run is stored yet. Start with: python -m bench multirun"


def _text_block(block: Block) -> str:
    cells = _cells(block)
    written = [[cell.write(row) for cell in cells] for row in block.rows]
    lines = [[cell.heading[0] for cell in cells], [cell.heading[1] for cell in cells], *written]
    widths = [max(len(line[column]) for line in lines) for column in range(len(cells))]
    aligned = [
        "  ".join(text.ljust(width) if column == 0 else text.rjust(width)
                  for column, (text, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]  # fmt: skip
    aligned.insert(2, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    title = f"{block.study} | {block.device_name} | protocol {block.protocol_id}"
    table = ["", *aligned] if block.rows else []
    return "\n".join([title, *table, "", *_notes(block)])


def _markdown_block(block: Block) -> str:
    cells = _cells(block)
    heading = [" ".join(filter(None, cell.heading)) for cell in cells]
    body = [[_escape(cell.write(row).strip()) for cell in cells] for row in block.rows]
    rule = ["---"] + ["--:"] * (len(cells) - 1)
    lines = [f"| {' | '.join(line)} |" for line in (heading, rule, *body)] if block.rows else []
    title = f"**{_escape(block.study)}** on {_escape(block.device_name)}, protocol `{_escape(block.protocol_id)}`"
    return "\n".join([title, "", *lines, "", *(f"- {_escape(note)}" for note in _notes(block))])


def _cells(block: Block) -> list[Cell]:
    """The cells that have at least one number in this table."""
    return [VARIANT, *(cell for cell in NUMBERS if any(cell.write(row) != units.NOTHING for row in block.rows))]


def _notes(block: Block) -> list[str]:
    """What the numbers alone do not say."""
    notes = []
    if block.rows:
        notes.append("* on the front of this table: no other variant is both faster and closer to the source")
    if teacher := _teacher_line(block.rows):
        notes.append(f"teacher: {teacher}")
    for row in block.rows:
        if row["clips_failed"]:
            clips = row["clips"] + row["clips_failed"]
            notes.append(f"{row['label']}: {row['clips_failed']:.0f} of {clips:.0f} clips gave no number")
    notes += [f"{metric} unavailable: {reason}" for metric, reason in block.unavailable.items()]
    for row in block.failed:
        notes.append(f"{row['label']} failed ({row['status']}): {row['error'] or 'no reason recorded'}")
    return notes


def _teacher_line(rows: list[Row]) -> str:
    """The teacher as measured beside the variants, medians over the runs."""
    shown = (
        ("teacher_decode_time_ms", "{} ms", lambda value: units.number(value, 1)),
        ("teacher_psnr_source", "PSNR {} dB", lambda value: units.number(value, 2)),
        ("teacher_ssim_source", "SSIM {}", lambda value: units.number(value, 4)),
        ("teacher_parameters", "{} parameters", units.short),
        ("teacher_macs_per_frame", "{} MACs/frame", units.short),
    )
    known = {name: [row[name] for row in rows if row.get(name) is not None] for name, _, _ in shown}
    return ", ".join(text.format(write(pd.Series(known[name]).median())) for name, text, write in shown if known[name])


def _reasons(rows: list[Row]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for row in rows:
        for metric, reason in json.loads(row["unavailable"] or "{}").items():
            reasons.setdefault(metric, reason)
    return reasons


def _plain(row: Row) -> Row:
    """Values that JSON and a terminal can show: NaN is None, an infinity text, a control character a space."""
    plain = {}
    for name, value in row.items():
        value = value.item() if hasattr(value, "item") else value
        if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
            value = None
        elif isinstance(value, float) and math.isinf(value):
            value = str(value)
        elif isinstance(value, str):
            value = "".join(letter if letter.isprintable() else " " for letter in value)
        plain[name] = value
    return plain


def _escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#$" else letter for letter in text)
