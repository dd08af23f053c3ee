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
INDEX = "index"  # the page of the package itself
PAGES = [
    INDEX,
    "core",
    "noise",
    "nets",
    "denoisers",
    "objectives",
    "solvers",
    "guidance",
    "operators",
    "posterior",
    "analytic",
    "likelihood",
    "testing",
]
PAGES += ["data", "training", "metrics", "show", "runs", "export"]


def reference() -> None:
    """docs/reference/commands.md from the table of options. A test compares the two."""
    from scorefield.cli.help import reference

    (DOCS / "reference" / "commands.md").write_text(reference(), encoding="utf-8")


def api() -> None:
    """docs/api/: a page for each folder, every public name with its signature and its docstring.

    Ends the build where a public name has no words of its own."""
    if bare := undocumented():
        sys.exit("These public names have no docstring:\n" + "\n".join(f"  {name}" for name in bare))
    (DOCS / "api").mkdir(exist_ok=True)
    links = {name: f"{page}.md#{name}" for page, names in reversed(pages().items()) for name in names}
    for page, names in pages().items():
        text = "\n".join(section(page, module_of(page), names, links))
        (DOCS / "api" / f"{page}.md").write_text(text.rstrip() + "\n", encoding="utf-8")


def module_of(page: str) -> ModuleType:
    """The module that a page is about; ``index`` is the package itself."""
    return importlib.import_module("scorefield" if page == INDEX else f"scorefield.{page}")


def pages() -> dict[str, list[str]]:
    """page → the public names on it: what ``__all__`` says, else what a module defines itself."""
    found = {}
    for page in PAGES:
        module = module_of(page)
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        listed = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
        found[page] = [name for name in listed if name != "__version__"]
    return found


def undocumented() -> list[str]:
    """Public names, methods and properties without words of their own. A constant has a value instead; a method that a
    protocol documents need not repeat it; what a dataclass writes about itself does not count."""
    bare = [f"scorefield.{page}" for page in PAGES if not inspect.getdoc(module_of(page))]
    listed = [(f"scorefield.{page}.{name}", getattr(module_of(page), name)) for page in PAGES for name in pages()[page]]
    told = protocol_words()  # of all that the line above has imported
    for name, value in listed:
        if is_documentable(value):
            words = inspect.getdoc(value) or ""
            bare += [name] if not words or words.startswith(f"{value.__name__}(") else []
            methods = members(value) if inspect.isclass(value) else {}
            bare += [
                f"{name}.{method}" for method, f in methods.items() if not inspect.getdoc(f) and method not in told
            ]
    return bare


def is_documentable(value: Any) -> bool:
    """Classes and functions; the other public names are tables, unions and numbers."""
    return inspect.isclass(value) or inspect.isroutine(value)


def members(cls: type) -> dict[str, Any]:
    """The public methods and properties that a class of scorefield defines itself."""
    if cls.__module__.partition(".")[0] != "scorefield":
        return {}
    plain = {n: m.__func__ if isinstance(m, classmethod | staticmethod) else m for n, m in vars(cls).items()}
    return {n: m for n, m in plain.items() if n[0] != "_" and (inspect.isfunction(m) or isinstance(m, property))}


def protocol_words() -> dict[str, str]:
    """Method → what the protocol that asks for it says, for methods that do not say it again."""
    loaded = [module for name, module in list(sys.modules.items()) if name.startswith("scorefield.")]
    protocols = {
        c for m in loaded for c in vars(m).values() if inspect.isclass(c) and getattr(c, "_is_protocol", False)
    }
    known = {"forward": "The network itself.", "backward": "The gradient."}
    for protocol in sorted(protocols, key=lambda c: c.__qualname__):
        known |= {n: words for n, m in vars(protocol).items() if n[0] != "_" and (words := inspect.getdoc(m))}
    return known


def section(page: str, module: ModuleType, names: list[str], links: dict[str, str]) -> Iterator[str]:
    """One page: what the module says, a line for each name, then each name."""
    yield from [f"# {module.__name__}", "", markdown(inspect.getdoc(module) or "", links), ""]
    if page == INDEX:
        yield from ["The folders behind it:", ""]
        for other in PAGES[1:]:
            summary = (inspect.getdoc(module_of(other)) or "").partition("\n\n")[0].replace("\n", " ")
            yield f"- [scorefield.{other}]({other}.md): {markdown(summary, {})}"
        yield ""
    yield from [*(f"- [{name}](#{name}): {markdown(summary_of(getattr(module, name)), {})}" for name in names), ""]
    for name in names:
        yield from entry(name, getattr(module, name), {k: v for k, v in links.items() if k != name})


def summary_of(value: Any) -> str:
    """The first sentence of its docstring; a constant says what it is."""
    if not is_documentable(value):
        return f"a {type(value).__name__}."
    first = (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=\.)(?<!al\.)(?<!eq\.)(?<!sec\.)(?<!app\.)\s(?=[A-Z`])", first, maxsplit=1)[0].rstrip(":")


def entry(name: str, value: Any, links: dict[str, str]) -> Iterator[str]:
    """Heading, signature, docstring; for a class also its public methods; for a table its keys."""
    yield from [f"## {name} {{ #{name} }}", ""]
    if not is_documentable(value):
        yield from [", ".join(f"`{key}`" for key in value) if isinstance(value, dict) else f"`{value}`", ""]
        return
    yield from ["```python", name + signature(value), "```", "", markdown(inspect.getdoc(value) or "", links), ""]
    for method, function in members(value).items() if inspect.isclass(value) else ():
        shown = method if isinstance(function, property) else method + signature(function)
        words = inspect.getdoc(function) or protocol_words().get(method, "")
        yield from ["```python", f".{shown}", "```", "", markdown(words, links), ""]


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


def markdown(docstring: str, links: dict[str, str]) -> str:
    """Docstrings are plain text with ``code``: everything else must not be read as markup. Code that is a public name
    becomes a link to its words; lists of modules keep their columns."""
    lines = []
    for line in docstring.splitlines():
        if line.startswith("    "):  # a code block in Markdown, too
            lines.append(line)
            continue
        parts = [linked(p, links) if p[:1] == "`" else escaped(p) for p in re.split(r"(`+[^`]+`+)", line)]
        column = re.match(r"``[^`]", line) and "   " in line  # ``name``     what it holds
        lines.append(f"- {''.join(parts)}" if column else "".join(parts))
    text = "\n".join(lines)
    return re.sub(r"(?m)^(?!- )(.+)\n- ", r"\1\n\n- ", text)


def escaped(text: str) -> str:
    """Without meaning to Markdown."""
    return re.sub(r"([*_<|])", r"\\\1", text)


def linked(code: str, links: dict[str, str]) -> str:
    """``name`` as code, and as a link where it is a public name."""
    word = code.strip("`")
    target = links.get(word if word.isidentifier() else word.rpartition(".")[2])
    return f"[`{word}`]({target})" if target else f"`{word}`"


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
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    subprocess.run(command, cwd=DOCS.parent, check=True)


if __name__ == "__main__":
    steps = {"reference": reference, "api": api, "tutorials": tutorials, "site": site}
    os.environ.setdefault("NO_COLOR", "1")
    for step in sys.argv[1:] or list(steps):
        steps[step]()
