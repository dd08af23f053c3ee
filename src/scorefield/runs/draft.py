"""A config while it is written: each value enters together with where it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

COLUMNS = ("label", "condition", "columns", "categories")  # name columns, which may be called yes, no or auto


class Draft:
    """The config, the origins and the notes of a plan in the making."""

    def __init__(self, options: dict[str, Any], given: Mapping[str, str]) -> None:
        """``given``: name of an option or dotted key → who said it ("command line", "recipe digits")."""
        self.options, self.given = options, given
        self.config: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.notes: list[str] = []

    def value(self, path: str, value: Any, origin: str) -> None:
        """Set one dotted key."""
        table = self.config
        *above, key = path.split(".")
        for name in above:
            table = table.setdefault(name, {})
        table[key] = value
        self.origins[path] = origin

    def section(self, path: str, values: dict[str, Any], origin: str) -> None:
        """Set a whole table, nested ones included."""
        for key, value in values.items():
            if isinstance(value, dict):
                self.section(f"{path}.{key}", value, origin)
            else:
                self.value(f"{path}.{key}", value, origin)

    def option(self, path: str, name: str, chosen: Any, why: str | None) -> None:
        """Set a key to the option called ``name``; where nobody said, to ``chosen`` (no ``why``: a default)."""
        asked = self.chosen(name)
        if asked is not None:
            self.value(path, asked, self.given.get(name, "default"))
        else:
            self.value(path, chosen, f"chosen: {why}" if why else "default")

    def chosen(self, name: str) -> Any:
        """What was asked for, None for nothing or ``auto``; a switch is True or False."""
        asked = self.options.get(name)
        return asked if name in COLUMNS else settled(asked)

    def origin(self, option: str, otherwise: str) -> str:
        """Who said an option, or ``otherwise`` where nobody did."""
        return self.given.get(option, "command line") if self.chosen(option) else otherwise

    def drop(self, path: str) -> None:
        """Forget a key or a whole table, where it is there."""
        table = self.config
        *above, key = path.split(".")
        for name in above:
            table = table.setdefault(name, {})
        table.pop(key, None)
        self.origins = {k: v for k, v in self.origins.items() if k != path and not k.startswith(f"{path}.")}

    def nest(self, path: str, name: str) -> None:
        """Put a table into one of its name: ``process.schedule`` becomes ``process.numbers.schedule``."""
        self.config[path] = {name: self.config[path]}
        top = f"{path}."
        self.origins = {
            f"{top}{name}.{key.removeprefix(top)}" if key.startswith(top) else key: said
            for key, said in self.origins.items()
        }

    def override(self, path: str, value: Any) -> None:
        """A dotted key that was given. Another ``type`` starts its table anew: the old arguments were not its."""
        above, _, key = path.rpartition(".")
        if key == "type":
            self._clear(above)
        self.value(path, value, self.given.get(path, "command line"))

    def _clear(self, path: str) -> None:
        *above, key = path.split(".")
        table = self.config
        for name in above:
            table = table.setdefault(name, {})
        table[key] = {}
        self.origins = {k: v for k, v in self.origins.items() if not k.startswith(f"{path}.")}


_SWITCH: dict[str, Any] = {"auto": None, "yes": True, "no": False}


def settled(asked: Any) -> Any:
    """An option as a config holds it: ``auto`` is None, a switch is True or False, the rest is itself."""
    return _SWITCH.get(asked, asked) if isinstance(asked, str) else asked


def rounded(number: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 … that is not below ``number``."""
    scale = 10 ** math.floor(math.log10(max(number, 1)))
    return next(k * scale for k in (1, 2, 5, 10) if k * scale >= number)
