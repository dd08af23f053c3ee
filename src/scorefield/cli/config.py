"""`scorefield config show RUN | diff A B | schema`: every setting, where it came from, and what an editor may know."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

from scorefield import config as toml
from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console, is_plain
from scorefield.cli.outputs import new_file
from scorefield.cli.words import Request
from scorefield.config import toml_value
from scorefield.errors import UserError, suggest

DIM, RED, GREEN, BOLD = "2", "31", "32", "1"
IMPORT = "from scorefield.runs import settings"


def run(request: Request, console: Console) -> Outcome:
    """Do what the first word says."""
    name, rest = (request.targets or ("",))[0], list(request.targets[1:])
    if name not in ACTIONS:
        given = f"config knows no {name!r}.{suggest(name, ACTIONS)}" if name else "config needs show, diff or schema."
        raise UserError(f"{given} For example: {request.command.examples[0][1]}")
    action, count, usage = ACTIONS[name]
    if len(rest) != count:
        raise UserError(f"config {name} takes {usage}; {len(rest)} given.")
    return action(rest, request, console)


def _show(words: list[str], request: Request, console: Console) -> Outcome:
    from scorefield.runs import settings as reading

    found = reading.read(words[0], request.options["runs"])
    full = reading.with_defaults(found) if request.options["defaults"] else found
    heading = f"{found.kind} {found.name}: {found.path}"
    for line in toml.dumps(full.config, full.origins, heading).splitlines():
        console.result(_faded(line))
    rows = [setting._asdict() for setting in full.settings]
    python = [IMPORT, f'settings.read("{words[0]}").settings']
    following = [] if request.options["defaults"] else [f"scorefield config show {words[0]} defaults=yes"]
    return Outcome(
        {"name": found.name, "kind": found.kind, "path": str(found.path), "settings": rows}, python, following
    )


def _diff(words: list[str], request: Request, console: Console) -> Outcome:
    from scorefield.runs import settings as reading

    a, b = (reading.read(word, request.options["runs"]) for word in words)
    found = reading.differences(a, b)
    for line in _lines(found, f"{a.kind} {a.name}", f"{b.kind} {b.name}"):
        console.result(line)
    rows = [{"key": key, "a": x and x._asdict(), "b": y and y._asdict()} for key, x, y in found]
    python = [IMPORT, f'settings.differences(settings.read("{words[0]}"), settings.read("{words[1]}"))']
    following = [f"scorefield config show {word}" for word in words]
    return Outcome({"a": str(a.path), "b": str(b.path), "differences": rows}, python, following)


def _lines(found: list, one: str, other: str) -> Iterator[str]:
    """A key, then each side's value and who gave it."""
    if not found:
        yield f"{one} and {other} do not differ"
        return
    yield _styled(f"- {one}", RED)
    yield _styled(f"+ {other}", GREEN)
    for key, a, b in found:
        yield _styled(key, BOLD)
        yield _side("-", a, RED)
        yield _side("+", b, GREEN)


def _side(sign: str, setting: object, color: str) -> str:
    if setting is None or setting.value is None:  # pyrefly: ignore[missing-attribute]
        return _styled(f"  {sign} not set", color)
    _, value, origin = setting  # pyrefly: ignore[not-iterable]
    told = _styled(f"{sign} {toml_value(value)}", color)
    return f"  {told}{_styled(f'  # {origin}', DIM) if origin else ''}"


def _schema(words: list[str], request: Request, console: Console) -> Outcome:
    out = new_file(request.options["out"], (".json",))
    from scorefield.runs.schema import SCHEMAS
    from scorefield.show.files import write_aside

    schema = SCHEMAS[request.options["of"]]()
    text = json.dumps(schema, indent=1, ensure_ascii=False)
    if out is None:
        console.result(text)
    else:
        write_aside(out, text + "\n")
        console.result(str(out))
        console.say(f"An editor that checks TOML reads it where the first line of a file says: #:schema {out}")
    python = ["from scorefield.runs.schema import SCHEMAS", f'SCHEMAS["{request.options["of"]}"]()']
    return Outcome({"schema": schema, "out": str(out) if out else None}, python, [])


def _faded(line: str) -> str:
    """The origin at the end of a line of TOML steps back."""
    value, mark, origin = line.rpartition("  # ")
    return f"{value}{_styled(mark + origin, DIM)}" if mark else line


def _styled(text: str, code: str) -> str:
    return text if is_plain(sys.stdout) else f"\x1b[{code}m{text}\x1b[0m"


ACTIONS: dict[str, tuple[Callable[[list[str], Request, Console], Outcome], int, str]] = {
    "show": (_show, 1, "one run or recipe"),
    "diff": (_diff, 2, "two runs or recipes"),
    "schema": (_schema, 0, "no further word"),
}
