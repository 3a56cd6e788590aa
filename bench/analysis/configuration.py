"""A run's whole configuration as flat keys, and what two runs differ in."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

PARTS = {"spec_json": "", "device_json": "device.", "packages_json": "packages."}
PLAIN = ("study", "label", "status", "protocol_id", "device_id", "device_name", "git_sha", "git_dirty", "started_at")


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """`{"a": {"b": 1}}` as `{"a.b": "1"}`; lists and empty mappings are JSON text."""
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for key, inner in value.items():
            found |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
        return found
    return {prefix: value if isinstance(value, str) else json.dumps(value)}


def configuration(run: dict[str, Any]) -> dict[str, str]:
    """Everything that a row of `runs` says about how it came about, flat."""
    found = {name: str(run[name]) for name in PLAIN if run.get(name) is not None}
    for column, prefix in PARTS.items():
        flat = flatten(json.loads(run[column]))
        found |= {f"{prefix}{key}": value for key, value in flat.items() if key}
    return found


def difference(one: dict[str, Any], other: dict[str, Any]) -> pd.DataFrame:
    """Keys whose values differ between two rows of `runs`: columns key, one, other; a missing key is an empty text."""
    first, second = configuration(one), configuration(other)
    keys = [key for key in {**first, **second} if first.get(key) != second.get(key)]
    return pd.DataFrame(
        {"key": keys, "one": [first.get(key, "") for key in keys], "other": [second.get(key, "") for key in keys]}
    )
