"""Makes what in docs/ is made rather than written, and then the site.

python docs/build.py               everything, into site/
python docs/build.py reference     only docs/reference/commands.md, the one made page that is kept in the repository
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).resolve().parent
MODULES = ["noise", "nets", "denoisers", "objectives", "solvers", "guidance", "analytic", "testing"]
MODULES += ["data", "training", "metrics", "show", "runs"]


def reference() -> None:
    """docs/reference/commands.md from the table of options. A test compares the two."""
    from scorefield.cli.help import reference

    (DOCS / "reference" / "commands.md").write_text(reference(), encoding="utf-8")


def api() -> None:
    """docs/api.md: every public name with its signature and its docstring."""
    import scorefield

    page = ["# Python", "", "The table of contents first, then the folders behind it."]
    page += section("scorefield", scorefield, [name for name in scorefield.__all__ if name != "__version__"])
    for name in MODULES:
        module = importlib.import_module(f"scorefield.{name}")
        page += section(f"scorefield.{name}", module, module.__all__)
    (DOCS / "api.md").write_text("\n".join(page) + "\n", encoding="utf-8")


def section(title: str, module: ModuleType, names: list[str]) -> Iterator[str]:
    """The public names of one module; what has no docstring of its own (constants) is shown by its keys or value."""
    yield from ["", f"## {title}", "", markdown(inspect.getdoc(module) or ""), ""]
    for name in names:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            yield from entry(f"{title}.{name}", value, "###")
        else:
            shown = ", ".join(f"`{key}`" for key in value) if isinstance(value, dict) else f"`{value}`"
            yield from [f"### {title}.{name}", "", shown, ""]


def entry(title: str, value: Any, heading: str) -> Iterator[str]:
    """Heading, signature, docstring; for a class also its public methods."""
    yield from [f"{heading} {title}", "", "```python", title.rpartition(".")[2] + signature(value), "```", ""]
    yield from [markdown(inspect.getdoc(value) or ""), ""]
    if not inspect.isclass(value) or value.__module__.partition(".")[0] != "scorefield":
        return
    for name, member in vars(value).items():
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if not name.startswith("_") and inspect.isfunction(function) and inspect.getdoc(function):
            yield from [
                "```python",
                f".{name}{signature(function)}",
                "```",
                "",
                markdown(inspect.getdoc(function) or ""),
                "",
            ]


def signature(value: Any) -> str:
    """``(x, t, *, rng=None)`` with annotations, a parameter a line where it is long; '' where Python knows none."""
    try:
        found = inspect.signature(value)
    except ValueError:
        return ""
    bare = found.replace(parameters=[p for p in found.parameters.values() if p.name not in {"self", "cls"}])
    line = unquoted(str(bare))
    if len(line) <= 90:
        return line
    inside, _, result = line[1:].rpartition(")")
    return "(\n    " + re.sub(r", (?=\*|\w+[:=,]|/)(?![^\[(]*[\])])", ",\n    ", inside) + ",\n)" + result


def unquoted(text: str) -> str:
    """Annotations without the quotes that a postponed evaluation gives them; the defaults keep theirs."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def markdown(docstring: str) -> str:
    """Docstrings are plain text with ``code``: everything else must not be read as markup."""
    lines = []
    for line in docstring.splitlines():
        indented = line.startswith("    ")  # a code block in Markdown, too
        parts = re.split(r"(`+[^`]+`+)", line)
        plain = [p.replace("``", "`") if p.startswith("`") else re.sub(r"([*_<|])", r"\\\1", p) for p in parts]
        lines.append(line if indented else "".join(plain))
    return "\n".join(lines)


def tutorials() -> None:
    """docs/tutorials/NAME.md from NAME.py: text cells as they are, code cells with what they printed and drew."""
    for script in sorted((DOCS / "tutorials").glob("*.py")):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            page = "\n\n".join(run_cells(script))
        script.with_suffix(".md").write_text(page + "\n", encoding="utf-8")


def run_cells(script: Path) -> Iterator[str]:
    """The cells of a percent script as Markdown. An error in a cell ends the build."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(re.split(r"^# %%", script.read_text(encoding="utf-8"), flags=re.M)[1:]):
        kind, _, body = cell.partition("\n")
        if "[markdown]" in kind:
            yield re.sub(r"^# ?", "", body, flags=re.M).strip()
            continue
        printed, value = execute(body, names, f"{script.name}, cell {number}")
        yield f"```python\n{body.strip()}\n```"
        if picture := save_picture(value, script, number):
            yield f"![]({picture})"
        elif shown := (printed + (repr(value) if value is not None else "")).strip():
            yield f"```\n{shown}\n```"


def execute(code: str, names: dict[str, Any], where: str) -> tuple[str, Any]:
    """Run a cell: what it printed, and the value of its last line where that is an expression."""
    tree = ast.parse(code, where)
    last = tree.body[-1]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, where, "exec"), names)
        value = eval(compile(ast.Expression(last.value), where, "eval"), names) if isinstance(last, ast.Expr) else None
    return out.getvalue(), value


def save_picture(value: Any, script: Path, number: int) -> str:
    """The path of a Pillow image beside the page, relative to it; '' for any other value."""
    from PIL import Image

    if not isinstance(value, Image.Image):
        return ""
    path = script.parent / "images" / f"{script.stem}-{number}.png"
    path.parent.mkdir(exist_ok=True)
    value.save(path)
    return path.relative_to(script.parent).as_posix()


def site() -> None:
    """The pages as a site that loads nothing from elsewhere."""
    subprocess.run([sys.executable, "-m", "zensical", "build", "--clean"], cwd=DOCS.parent, check=True)


if __name__ == "__main__":
    steps = {"reference": reference, "api": api, "tutorials": tutorials, "site": site}
    os.environ.setdefault("NO_COLOR", "1")
    for step in sys.argv[1:] or list(steps):
        steps[step]()
