"""The stored tables as one value."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

import pandas as pd

from bench import records
from bench.analysis.spec import dig
from bench.records.schema import ResultsDirs

_OF_THE_MAKERS = re.compile(r"\((?:R|TM|C)\)| (?:CPU|Processor)\b")


@dataclass(frozen=True)
class Results:
    """Two tidy tables joined on `run_id`, and the files that had to be left out of them."""

    runs: pd.DataFrame
    measurements: pd.DataFrame
    problems: list[records.Problem] = field(default_factory=list)

    def of(self, run_ids: Collection[str]) -> Results:
        """These runs alone."""
        runs, rows = self.runs, self.measurements
        return Results(runs[runs["run_id"].isin(run_ids)], rows[rows["run_id"].isin(run_ids)])

    def finished(self, task: str) -> set[str]:
        """The ids of the runs of one task that ended well."""
        runs = self.runs[self.runs["status"] == "ok"]
        tasks = runs["spec_json"].map(lambda text: dig(json.loads(text), "task"))
        return set(runs["run_id"][tasks == task])


def load(folders: ResultsDirs) -> Results:
    """All runs of one or more results folders; `ValueError` for a folder that does not exist."""
    runs, rows, problems = records.read(folders)
    return Results(with_short_names(runs), rows, problems)


def with_short_names(runs: pd.DataFrame) -> pd.DataFrame:
    """Stored runs, their devices without what the makers add for the law."""
    return runs.assign(device_name=runs["device_name"].map(short_name))


def short_name(device: object) -> object:
    """`Intel(R) Xeon(R) Processor (2 threads)` as `Intel Xeon (2 threads)`."""
    return _OF_THE_MAKERS.sub("", device) if isinstance(device, str) else device
