"""What the rules read: the source files of the package, parsed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a text: a set that is read, and changed, as lines."""
    return frozenset(text.split())


ROOT: Final = Path(__file__).resolve().parent.parent
SRC: Final = ROOT / "src"


@dataclass(frozen=True)
class Module:
    """One parsed source file. ``known``: every module of the package, to resolve imports."""

    name: str
    text: str
    known: frozenset[str]
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def within(self, *packages: str) -> bool:
        """Whether the module is one of these, or inside one of them."""
        return is_within(self.name, packages)


Rule = Callable[[Module], list[str]]


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def load_modules() -> list[Module]:
    """Every module under src/."""
    files = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        files[".".join(parts[:-1] if is_package else parts)] = (path, is_package)
    known = frozenset(files)
    return [
        Module(name, path.read_text(encoding="utf-8"), known, is_package)
        for name, (path, is_package) in files.items()
    ]


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """(line, what) of every import, wherever it stands: in functions and for typing too.

    ``from a import b`` is ``a.b`` when that is a module of ours, and ``a`` otherwise.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - (1 if module.is_package else 0)
                parent = module.name.split(".")
                kept = parent[: len(parent) - up]
                base = ".".join([*kept, *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in module.known else base


def calls(module: Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every call whose target is a plain dotted name."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)
