"""The data dictionary in results/README.md names every column, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import records

README = Path(__file__).parents[3] / "results" / "README.md"


@pytest.mark.parametrize("schema", [records.RUNS, records.MEASUREMENTS], ids=["runs", "measurements"])
def test_the_dictionary_names_every_column(schema):
    table = schema.metadata[b"table"].decode()
    section = README.read_text(encoding="utf-8").split(f"## Table `{table}`")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, flags=re.MULTILINE)
    assert [name for name, _ in rows] == schema.names
    assert {name for name, kind in rows if "may be missing" in kind} == {
        field.name for field in schema if field.nullable
    }


def test_the_dictionary_names_the_version():
    assert f"schema version is {records.SCHEMA_VERSION};" in README.read_text(encoding="utf-8")
