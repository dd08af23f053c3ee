"""Recipes: TOML files of options for `scorefield train`, each with what was measured with it, and on what. Torch-free.

A recipe gives options a value, and nothing that the command line could not; what the command line says goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scorefield import config as toml
from scorefield.errors import UserError, suggest
from scorefield.options import COMMANDS, canonical, flatten
from scorefield.options.values import free_value

SHIPPED = Path(__file__).resolve().parents[1] / "recipes"
UNMEASURED = "not measured yet"
TEXTS = ("about", "data", "command")
KEYS = (*TEXTS, "measured", "train")
MEASURED = ("command", "date", "machine", "time", "results")  # a figure without one of these is not one
LIMITS = ("steps", "images", "minutes")
NOT_ITS_OWN = ("recipe", "name", "runs", "fresh")  # they name a run, not how to train


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as read from its file, checked: ``options`` are typed and under the names of `scorefield train`."""

    name: str
    path: Path
    about: str  # what it learns, in a sentence
    data: str  # what DATA is meant to be
    command: str  # how it is used
    options: Mapping[str, Any]
    measured: Mapping[str, Any] | None  # command, date, machine, time, results; None: not measured yet

    @property
    def origin(self) -> str:
        """What config.toml says of a value that came from here."""
        return f"recipe {self.name}"

    @cached_property
    def result(self) -> str:
        """The measured figures in a line, or that there are none."""
        return "; ".join(self.measured["results"]) if self.measured else UNMEASURED

    def beneath(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe's options that ``given`` leaves standing. Whoever gives one limit of training means it instead of
        the recipe's; another ``type`` of an object leaves the recipe's arguments of the old one out."""
        known = COMMANDS["train"]
        names = {canonical(known, name) for name in flatten(given)}
        dropped = set(LIMITS) if names & set(LIMITS) else set()
        retyped = tuple(name.removesuffix("type") for name in names if name.endswith(".type"))
        return {
            name: value
            for name, value in self.options.items()
            if name not in names | dropped and not (retyped and name.startswith(retyped))
        }

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "name": self.name,
            "path": str(self.path),
            "about": self.about,
            "data": self.data,
            "command": self.command,
            "options": dict(self.options),
            "measured": dict(self.measured) if self.measured else UNMEASURED,
        }


def listing() -> list[RecipeFile]:
    """The recipes that scorefield ships, by name."""
    return [read(path) for path in sorted(SHIPPED.glob("*.toml"))]


def find(word: str | Path) -> RecipeFile:
    """The recipe called ``word``, or the one in the file ``word``.

    Raises UserError: no such recipe (with the nearest name), a file that cannot be read, an unknown key or option."""
    path = Path(word).expanduser()
    shipped = SHIPPED / f"{word}.toml"
    if path.suffix == ".toml" or path.is_file():
        return read(path)
    if path.name != str(word) or not shipped.is_file():
        known = [file.stem for file in SHIPPED.glob("*.toml")]
        raise UserError(
            f"no recipe is called {str(word)!r}.{suggest(str(word), known)} A file of your own ends in .toml."
        )
    return read(shipped)


def read(path: Path) -> RecipeFile:
    """The recipe in a file. Raises UserError for whatever does not belong there."""
    table = toml.load(path)
    _known(path, table, KEYS)
    for key in TEXTS:
        if not isinstance(table.get(key), str):
            raise UserError(f"{path}: {key} must be a sentence, got {table.get(key)!r}.")
    return RecipeFile(
        path.stem,
        path,
        table["about"],
        table["data"],
        table["command"],
        _options(path, table.get("train", {})),
        _measured(path, table.get("measured")),
    )


def _known(path: Path, table: Mapping[str, Any], keys: tuple[str, ...], inside: str = "") -> None:
    for key in table:
        if key not in keys:
            raise UserError(f"{path}: no key of a recipe is called {inside}{key}.{suggest(key, keys)}")


def _options(path: Path, section: Any) -> dict[str, Any]:
    if not isinstance(section, Mapping):
        raise UserError(f"{path}: [train] must be a table of options, got {section!r}.")
    command = COMMANDS["train"]
    options: dict[str, Any] = {}
    for written, value in flatten(section).items():
        try:
            name = canonical(command, written)
            typed = command.options[name].parse(value) if name in command.options else free_value(value)
        except UserError as error:
            raise UserError(f"{path}: in [train], {error}") from error
        if name in NOT_ITS_OWN:
            raise UserError(f"{path}: a recipe may not set {name}: that is for the command line. Leave it out.")
        options[name] = typed
    return options


def _measured(path: Path, found: Any) -> dict[str, Any] | None:
    if found == UNMEASURED:
        return None
    if not isinstance(found, Mapping):
        raise UserError(f"{path}: measured must be {UNMEASURED!r} or a table of {', '.join(MEASURED)}, got {found!r}.")
    _known(path, found, MEASURED, "measured.")
    for key in MEASURED:
        if not found.get(key):
            raise UserError(f"{path}: measured.{key} is missing: a figure needs {', '.join(MEASURED)}.")
    results = found["results"] if isinstance(found["results"], list) else [found["results"]]
    return {key: str(found[key]) for key in MEASURED[:-1]} | {"results": [str(line) for line in results]}
