"""Results folders at an address, such as `s3://bucket/results`: copied to this machine, then read like any other.

fsspec does the transfer; protocols beyond its own need their package (`s3fs` for s3). A copy lives in the user's cache
folder. Files whose size is the same and which are not newer there are not fetched again; files that are gone there go.

A run is sent there as a pair of files, in the order in which it is written anywhere. A file is put under a name that
readers pass over and then moved, so that at any moment it is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from bench.records.schema import part_paths

FOLDERS = ("runs", "measurements", "packed", "published")
REFRESH_S = 60.0  # an address is listed at most this often

_listed: dict[str, float] = {}


def is_address(folder: str | os.PathLike) -> bool:
    """Whether `folder` is an address for fsspec instead of a path."""
    return isinstance(folder, str) and "://" in folder


def cache_root() -> Path:
    """This project's folder in the user's cache (`XDG_CACHE_HOME`, else `~/.cache`), or of a user without a home among
    the temporary files.
    """
    home = os.path.expanduser("~/.cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or (home if home[0] != "~" else tempfile.gettempdir())) / "flash-vaed"


def local_copy(address: str) -> Path:
    """The folder of this machine that mirrors `address`; `ValueError` when the address cannot be read."""
    target = cache_root() / "remote" / hashlib.sha256(address.encode()).hexdigest()[:16]
    if time.monotonic() - _listed.get(address, -REFRESH_S) >= REFRESH_S or not target.is_dir():
        try:
            _mirror(address, target)
        except ImportError as error:
            raise ValueError(f"results at {address!r} cannot be read: {error}") from error
        except Exception as error:  # every protocol has errors of its own
            raise ValueError(f"results at {address!r} cannot be read: {type(error).__name__}: {error}") from error
        _listed[address] = time.monotonic()
    return target


def holds_run(address: str, run_id: str) -> bool:
    """Whether a runs row of that name is at `address`; `ValueError` when it cannot be asked."""
    with _plainly("read", address) as (files, root):
        run_path, _ = part_paths(PurePosixPath(root), run_id)
        files.invalidate_cache(str(run_path.parent))
        return bool(files.exists(str(run_path)))


def fetch_run(address: str, run_id: str, folder: Path) -> bool:
    """Copy the two files of one run into a results folder; False where it is not there."""
    if not holds_run(address, run_id):
        return False
    with _plainly("read", address) as (files, root):
        pairs = zip(part_paths(PurePosixPath(root), run_id), part_paths(folder, run_id), strict=True)
        for there, here in pairs:
            here.parent.mkdir(parents=True, exist_ok=True)
            if files.exists(str(there)):
                files.get_file(str(there), str(here))
    return True


def put_run(folder: Path, run_id: str, address: str) -> None:
    """Send one run of a results folder to `address`: measurements first, the runs row last."""
    with _plainly("write", address) as (files, root):
        pairs = zip(part_paths(folder, run_id), part_paths(PurePosixPath(root), run_id), strict=True)
        for here, there in reversed(list(pairs)):
            partial = there.with_name(f".{there.stem}.{uuid.uuid4().hex[:12]}.partial")
            files.makedirs(str(there.parent), exist_ok=True)
            files.put_file(str(here), str(partial))
            files.mv(str(partial), str(there))
            files.invalidate_cache(str(there.parent))
    _listed.pop(address, None)


@contextmanager
def _plainly(what: str, address: str) -> Iterator[tuple[Any, str]]:
    """The file system of `address` and the folder in it; whatever goes wrong inside is a `ValueError` of one line."""
    try:
        import fsspec  # local folders do not need it

        files, root = fsspec.core.url_to_fs(address)
        yield files, str(root).rstrip("/")
    except ImportError as error:
        raise ValueError(f"cannot {what} results at {address!r}: {error}") from error
    except Exception as error:  # every protocol has errors of its own
        raise ValueError(f"cannot {what} results at {address!r}: {type(error).__name__}: {error}") from error


def _mirror(address: str, target: Path) -> None:
    import fsspec  # a reader of local folders does not need it

    files, root = fsspec.core.url_to_fs(address)
    if not files.isdir(root):
        raise FileNotFoundError("there is no such folder")
    for folder in FOLDERS:
        there = {}
        if files.isdir(f"{root}/{folder}"):
            files.invalidate_cache(f"{root}/{folder}")
            there = {Path(str(entry["name"])).name: entry for entry in files.ls(f"{root}/{folder}", detail=True)}
        here = target / folder
        here.mkdir(parents=True, exist_ok=True)
        for name, entry in sorted(there.items()):
            if entry["type"] == "file" and not name.startswith(".") and not _is_fresh(here / name, entry):
                partial = here / f".{name}.partial"
                files.get_file(entry["name"], str(partial))
                partial.replace(here / name)
        for path in here.iterdir():
            if path.name not in there:
                path.unlink()


def _is_fresh(path: Path, entry: dict) -> bool:
    if not path.exists() or path.stat().st_size != entry["size"]:
        return False
    stamp: Any = entry.get("LastModified") or entry.get("mtime") or entry.get("created") or entry.get("updated")
    changed_s = stamp.timestamp() if hasattr(stamp, "timestamp") else stamp
    return not isinstance(changed_s, (int, float)) or changed_s <= path.stat().st_mtime
