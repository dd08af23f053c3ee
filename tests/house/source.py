"""The package as syntax trees: what the house-rule tests read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "scorefield"


class Module(NamedTuple):
    """One file of the package: where it is, its dotted name without ``scorefield.``, its lines and its tree."""

    path: Path
    name: str
    lines: int
    tree: ast.Module

    @property
    def unit(self) -> str:
        """The file or folder directly under the package: what the import arrow speaks of."""
        return self.name.partition(".")[0]

    def at(self, node: ast.AST) -> str:
        """``core.py:12``, to be read in a failure."""
        return f"{self.path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 1)}"


@cache
def modules() -> tuple[Module, ...]:
    """Every Python file of the package, in alphabetical order. ``__init__`` is the name of the package's own page."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


def _read(path: Path) -> Module:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
    text = path.read_text(encoding="utf-8")
    return Module(path, name, text.count("\n"), ast.parse(text, str(path)))


def walk(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[Module, ast.AST]]:
    """Every node of a kind, with the module it stands in."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, kind):
                yield module, node


def imported_units(module: Module) -> Iterator[tuple[str, ast.AST]]:
    """The units of scorefield that a module imports, anywhere in it: at its top, in functions and for type checking."""
    package = module.path.parent.relative_to(PACKAGE.parent).parts
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            target = [*base, *(node.module.split(".") if node.module else ())]
            targets = [[*target, alias.name] for alias in node.names] if target == ["scorefield"] else [target]
        else:
            continue
        for target in targets:
            if target[0] == "scorefield":
                yield (target[1] if len(target) > 1 and is_unit(target[1]) else "__init__"), node


def is_unit(name: str) -> bool:
    """Whether a name of ``from scorefield import name`` is a file or folder rather than a public name."""
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def called(node: ast.Call) -> str:
    """The dotted name of what is called: ``torch.randn``, ``isinstance``; '' for anything else."""
    return ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""


def tracked() -> list[Path]:
    """The text files of the repository that a reader meets: everything but what .gitignore names and pictures."""
    folders = ["src", "tests", "docs", "benchmarks", ".ci"]
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    generated = {"__pycache__", "images"}
    text = {".py", ".md", ".toml", ".txt", ".yml", ".cfg", ".json", ".html", ".css", ".js", ""}
    return [path for path in files if path.suffix in text and not generated & set(path.parts)]
