"""Options: the table, what a value may be, and the check that every command and Python call goes through.

Free of torch and pydantic, so that help and usage errors are fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scorefield.errors import UserError, suggest

from .shared import SECTIONS, Command
from .table import COMMANDS
from .values import Option, free_value, written

__all__ = [
    "COMMANDS",
    "SECTIONS",
    "Command",
    "Option",
    "canonical",
    "defaults",
    "flatten",
    "option_of",
    "resolve",
    "written",
]

_FLAT = {"train": "train", "data": "train", "sample": "sample"}  # config sections whose keys are options of a command


def resolve(command: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of ``command``, typed: what was given, else its default (None: chosen for you).

    ``given`` holds words of the command line or Python values. Dotted keys (``net.channels``, or ``net={"channels":
    64}``) describe registered objects; they are added under their dotted name and checked by the constructor later.
    Raises UserError for an unknown name (with the nearest known one), a value of the wrong type or out of bounds."""
    known = COMMANDS[command]
    values = defaults(command)
    for name, value in flatten(given).items():
        name = canonical(known, name)
        values[name] = known.options[name].parse(value) if name in known.options else free_value(value)
    return values


def defaults(command: str) -> dict[str, Any]:
    """The default of each option of ``command``, in the order of its help."""
    return {name: option.default for name, option in COMMANDS[command].options.items()}


def option_of(command: str, name: str) -> Option:
    """The option called ``name``. Raises UserError when ``command`` has none."""
    return COMMANDS[command].options[canonical(COMMANDS[command], name)]


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"net": {"channels": 64}}`` → ``{"net.channels": 64}``."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def canonical(command: Command, name: str) -> str:
    """The name under which ``name`` is kept: dashes are underscores, ``train.steps`` is ``steps``.

    Raises UserError with the nearest known name."""
    plain = name.replace("-", "_")
    section, _, rest = plain.partition(".")
    if plain in command.options:
        return plain
    if command.dotted and rest and section in SECTIONS:
        return plain
    if _FLAT.get(section) == command.name and rest in command.options:
        return rest
    raise UserError(f"unknown option {name!r}.{_hint(command, plain)} (all: scorefield {command.name} --help)")


def _hint(command: Command, name: str) -> str:
    section, _, rest = name.partition(".")
    if rest and _FLAT.get(section) == command.name:
        return "".join(suggest(rest, command.options).replace("Did you mean '", f"Did you mean '{section}."))
    words: Iterable[str] = [f"{s}.{rest}" for s in SECTIONS] if rest and command.dotted else command.options
    return hint if (hint := suggest(name, words)).startswith(" Did") else ""
