"""One generic registry: a name in a config file becomes the class or function that carries it.

A collision is an error, a miss suggests the nearest name, and `discover` imports every module of a package so that a
new entry is one new file and no edit elsewhere.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Named entries of one kind; `kind` appears in error messages, `package` is walked on first use."""

    def __init__(self, kind: str, package: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files its target under `name`; the same name twice is a `ValueError`."""

        def file_under_name(entry: T) -> T:
            if name in self._entries and self._entries[name] is not entry:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return file_under_name

    def get(self, name: str) -> T:
        """The entry called `name`; an unknown name is a `ValueError` that suggests the nearest one."""
        self._discover_once()
        if name not in self._entries:
            close = difflib.get_close_matches(name, self._entries, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.names())}"
            raise ValueError(f"unknown {self.kind} {name!r}; {hint}")
        return self._entries[name]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._discover_once()
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        self._discover_once()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _discover_once(self) -> None:
        if self._package is not None:
            package, self._package = self._package, None
            discover(package)


def discover(package: str) -> None:
    """Import every module of `package`, so that their `register` decorators run."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
