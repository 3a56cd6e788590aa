"""What the pages are given: folders from the command line, a key that changes with the files, safe text."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from dashboard.data import code, csv_bytes, folders_from_arguments, stamp
from tests.synthetic_results import make_run, store


@pytest.mark.parametrize(
    ("arguments", "folders"),
    [
        ([], ["results"]),
        (["--results", "a"], ["a"]),
        (["--results", "a", "b"], ["a", "b"]),
        (["-x", "--results=a"], ["a"]),
    ],
)
def test_results_folders_come_from_the_command_line(arguments, folders):
    assert folders_from_arguments(arguments) == folders


def test_the_stamp_changes_with_the_files_and_not_without(tmp_path):
    folder = store(tmp_path, make_run("r"))
    first = stamp([folder])
    assert stamp([folder]) == first
    store(tmp_path, make_run("s"))
    second = stamp([folder])
    assert second != first
    assert len(second) == 4
    (folder / "runs" / "s.parquet").unlink()
    assert stamp([folder]) not in (first, second)
    assert stamp([tmp_path / "absent"]) == ()


@pytest.mark.faults
def test_spreadsheets_find_no_formula_in_the_download():
    table = pd.DataFrame({"label": ["=1+1", "@x", "+1", "-2", "fine", None], "value": [-1.5, 2.0, 3.0, 4.0, 5.0, None]})
    rows = list(csv.reader(io.StringIO(csv_bytes(table).decode())))
    assert [row[0] for row in rows[1:6]] == ["'=1+1", "'@x", "'+1", "'-2", "fine"]
    assert rows[1][1] == "-1.5", "numbers stay numbers"


def test_code_spans_cannot_be_left():
    assert code("a`b\n``c") == "`a'b ''c`"
