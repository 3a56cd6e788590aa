"""What a run leaves behind: two tidy Parquet tables, joined on `run_id`.

`runs` holds one row per run: what was asked, on which machine, and how it ended. `measurements` holds every raw number.
Nothing here imports torch, Hydra or the models, so that readers of results stay light.
"""

from bench.records.frames import stored_clips, stored_frames, write_frames
from bench.records.merge import MergeReport, merge
from bench.records.packed import pack, write_pack
from bench.records.read import Problem, is_finished, read, read_placed, rows_at, stored_runs
from bench.records.remote import is_address
from bench.records.schema import MEASUREMENTS, RUNS, SCHEMA_VERSION, STATUSES, check_run_id, measurement
from bench.records.stored import absolute, is_stored, is_written
from bench.records.write import check_folder, write_run

__all__ = [
    "MEASUREMENTS",
    "RUNS",
    "SCHEMA_VERSION",
    "STATUSES",
    "MergeReport",
    "Problem",
    "absolute",
    "check_folder",
    "check_run_id",
    "is_address",
    "is_finished",
    "is_stored",
    "is_written",
    "measurement",
    "merge",
    "pack",
    "read",
    "read_placed",
    "rows_at",
    "stored_clips",
    "stored_frames",
    "stored_runs",
    "write_frames",
    "write_pack",
    "write_run",
]
