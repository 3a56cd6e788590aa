"""One file out of many: modules of this package in the order in which they need each other, without their imports of
each other.

So an exported decoder carries the very code it was trained and measured with, and nothing is implemented twice.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "flash_vaed"
ROOT = Path(__file__).parents[2]

_OPENING = """\
# SPDX-License-Identifier: Apache-2.0
#
# Written by flash-vaed out of its own modules, so that a decoder runs where flash-vaed is not installed.
# Change them there and export again.

from __future__ import annotations

{imports}

if __name__ not in sys.modules:  # a host may run a file without registering it; dataclasses ask for their module
    sys.modules[__name__] = types.ModuleType(__name__)
"""
_OWN_IMPORTS = ("import sys", "import types")


@dataclass
class _Part:
    """A module taken apart. title: its docstring as a comment. needs: modules of ours. names: how it binds each."""

    title: str
    body: str
    needs: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


def bundle(modules: Iterable[str]) -> str:
    """The source of one module that does what `modules` (full names) and all they need do.

    Nothing is discovered in it: what a registry has is what was asked for. Two modules that give one name two meanings
    cannot share a file: a `ValueError`.
    """
    parts: dict[str, _Part] = {}
    for module in modules:
        _collect(module, parts)
    _check_names(parts)
    imports = {statement for part in parts.values() for statement in part.imports} | set(_OWN_IMPORTS)
    sections = [f"{part.title}\n\n\n{part.body}\n" for part in parts.values() if part.body]
    return "\n\n".join([_OPENING.format(imports=_sorted(imports)), *sections])


def _collect(module: str, parts: dict[str, _Part]) -> None:
    """Put `module` behind everything it needs."""
    if module not in parts:
        part = _read(module)
        for needed in part.needs:
            _collect(needed, parts)
        parts[module] = part


def _read(module: str) -> _Part:
    file = _file(module)
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    title = [f"--- {file.relative_to(ROOT).as_posix()} ---", *(ast.get_docstring(tree) or "").splitlines()]
    part = _Part("\n".join(f"# {line}".rstrip() for line in title), "")
    lines: list[str | None] = list(text.splitlines())
    for_types = [node for node in tree.body if _is_for_types(node)]
    _refuse_inner_imports(tree, module, {inner for node in for_types for inner in ast.walk(node)})
    for position, node in enumerate(tree.body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            _take_import(node, part, module)
        elif node in for_types:  # annotations are text, and in one file the name is there anyway
            pass
        elif not (position == 0 and isinstance(node, ast.Expr)) and _bound(node) != ["__all__"]:
            part.names |= dict.fromkeys(_bound(node), f"{module} defines it")
            continue
        lines[node.lineno - 1 : node.end_lineno] = [None] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    kept = "\n".join(line for line in lines if line is not None).strip()
    part.body = re.sub(r"\b__package__\b", "None", kept)
    return part


def _file(module: str) -> Path:
    """Where a module of this package lies; one from elsewhere is a `ValueError`."""
    path = ROOT.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if _is_ours(module) and file.is_file():
            return file
    raise ValueError(f"{module} is not a module of {PACKAGE}; put its file there to export a decoder that needs it")


def _is_for_types(node: ast.stmt) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, which only a type checker enters."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _refuse_inner_imports(tree: ast.Module, module: str, allowed: set[ast.AST]) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or node in tree.body or node in allowed:
            continue
        if _is_ours(_source(node)):
            raise ValueError(
                f"{module} line {node.lineno}: in an exported file {PACKAGE} is imported at the top or not"
            )


def _source(node: ast.Import | ast.ImportFrom) -> str:
    return (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name


def _is_ours(source: str) -> bool:
    return source.split(".")[0] == PACKAGE


def _take_import(node: ast.Import | ast.ImportFrom, part: _Part, module: str) -> None:
    source = _source(node)
    if _is_ours(source):
        if isinstance(node, ast.Import) or any(alias.asname for alias in node.names):
            raise ValueError(f"{module} line {node.lineno}: in an exported file names of {PACKAGE} keep their name")
        part.needs.append(source)
    elif source != "__future__":
        for alias in node.names:
            if alias.name == "TYPE_CHECKING":
                continue
            statement = ast.unparse(
                ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(source, [alias], node.level)
            )
            part.imports.append(statement)
            part.names[alias.asname or alias.name.split(".")[0]] = statement


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement at a module's top level binds."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _check_names(parts: dict[str, _Part]) -> None:
    meanings: dict[str, str] = {}
    for part in parts.values():
        for name, meaning in part.names.items():
            if meanings.setdefault(name, meaning) != meaning:
                raise ValueError(
                    f"an exported file has one {name}, but {meanings[name]} and {meaning}: give one another name"
                )


def _sorted(imports: set[str]) -> str:
    """Import statements, one a module, the standard library's first."""
    plain = {statement for statement in imports if statement.startswith("import ")}
    froms: dict[str, list[str]] = {}
    for statement in imports - plain:
        source, name = statement.removeprefix("from ").split(" import ")
        froms.setdefault(source, []).append(name)
    merged = [f"from {source} import {', '.join(sorted(names))}" for source, names in froms.items()]
    blocks: dict[bool, list[str]] = {True: [], False: []}
    for statement in [*sorted(plain), *sorted(merged)]:
        blocks[statement.split()[1].split(".")[0] in sys.stdlib_module_names].append(statement)
    return "\n\n".join("\n".join(blocks[standard]) for standard in (True, False) if blocks[standard])
