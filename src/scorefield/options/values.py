"""One option, and how what was written becomes its value: a word of the command line, or a Python object."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from os import PathLike, fspath
from typing import Any, NamedTuple

from scorefield.errors import UserError, suggest

_GROUPED = re.compile(r"\d{1,3}([,_]\d{3})+")  # 60,000 is a number, 1,5 is not
_SYNONYMS = {"grey": "gray", "gpu": "cuda", "color": "rgb", "colour": "rgb", "none": "no"}
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


class Option(NamedTuple):
    """One option: how it is written, what it may be, what it is when nobody says, and one sentence about it."""

    name: str
    type: str  # a key of PARSERS
    default: Any  # None: chosen for you
    help: str
    unit: str = ""
    low: float | None = None
    above: float | None = None  # like `low`, but itself not allowed
    high: float | None = None
    choices: tuple[str, ...] = ()
    common: bool = False  # shown without `--help all`

    @property
    def is_switch(self) -> bool:
        """True for yes/no options, also those that may be auto: `--strict` alone means yes."""
        return self.type == "bool" or "yes" in self.choices

    def parse(self, value: object, path: str | None = None) -> Any:
        """The typed value of what was written; None for `auto`.

        Raises UserError, which names the option (or its ``path`` in a config file), the need, and what was given."""
        if value is None or (value == "auto" and "auto" not in self.choices):
            return None
        name = path or self.name
        parsed = PARSERS[self.type](name, value, self.choices)
        for number in _numbers(parsed):
            self._check_bounds(name, number)
        return parsed

    def _check_bounds(self, name: str, number: float) -> None:
        if self.low is not None and not number >= self.low:
            raise UserError(f"{name} must be at least {self.low:g}, got {number:g}")
        if self.above is not None and not number > self.above:
            raise UserError(f"{name} must be greater than {self.above:g}, got {number:g}")
        if self.high is not None and not number <= self.high:
            raise UserError(f"{name} must be at most {self.high:g}, got {number:g}")


def _numbers(parsed: Any) -> list[float]:
    values = parsed if isinstance(parsed, list) else [parsed]
    return [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]


def _float(name: str, value: object, _: Iterable[str] = ()) -> float:
    text = str(value)
    try:
        number = float(re.sub("[,_]", "", text) if _GROUPED.fullmatch(text) else text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} must be a number, got {shown(value)}")
    return number


def _int(name: str, value: object, _: Iterable[str] = ()) -> int:
    scale = {"k": 1_000, "M": 1_000_000}.get(str(value)[-1:], 1)  # steps=20k
    try:
        number = _float(name, str(value)[:-1] if scale > 1 else value) * scale
    except UserError:
        number = math.nan
    if number != int(number) if math.isfinite(number) else True:
        raise UserError(f"{name} must be a whole number, got {shown(value)}")
    return int(number)


def _bool(name: str, value: object, _: Iterable[str] = ()) -> bool:
    word = str(value).lower()
    if word not in YES + NO:
        raise UserError(f"{name} must be yes or no, got {shown(value)}")
    return word in YES


def _str(name: str, value: object, _: Iterable[str] = ()) -> str:
    text = fspath(value) if isinstance(value, PathLike) else str(value)
    if not text:
        raise UserError(f"{name} is empty. Write {name}=something, or leave it out.")
    return text


def _choice(name: str, value: object, choices: Iterable[str]) -> str:
    """One of the words; a switch (auto, yes, no) also takes True, False, on, off."""
    known = tuple(choices)
    word = str(value).lower()
    if "yes" in known and word in YES + NO:
        return "yes" if word in YES else "no"
    word = word if word in known else _SYNONYMS.get(word, word)
    if word not in known:
        raise UserError(f"{name} {shown(value)} is not known.{suggest(word, known)}")
    return word


def _listed(each: Callable[[str, object], Any]) -> Callable[[str, object, Iterable[str]], list[Any]]:
    """Values separated by commas, or any Python sequence; ``none`` is the empty list."""

    def parse(name: str, value: object, _: Iterable[str] = ()) -> list[Any]:
        if isinstance(value, str):
            parts: list[object] = [] if value == "none" else list(value.strip("[]() ").rstrip(",").split(","))
        else:
            parts = list(value) if isinstance(value, Iterable) else [value]
        return [each(name, part.strip() if isinstance(part, str) else part) for part in parts]

    return parse


PARSERS: dict[str, Callable[[str, object, Iterable[str]], Any]] = {
    "int": _int, "float": _float, "bool": _bool, "str": _str, "path": _str, "choice": _choice,
    "ints": _listed(_int), "floats": _listed(_float), "words": _listed(_str),
}  # fmt: skip


def free_value(value: object) -> Any:
    """What a dotted override means (``net.channels=64``): a whole number, a number, yes/no, a list, or a word.
    Its type is checked later, against the constructor that takes it."""
    if not isinstance(value, str):
        return value
    if "," in value or (value[:1] == "[" and value[-1:] == "]"):
        return [free_value(part.strip()) for part in value.strip("[]").split(",") if part.strip()]
    for parse in (int, float):
        try:
            return parse(value)
        except ValueError:
            continue
    return {"yes": True, "true": True, "no": False, "false": False}.get(value.lower(), value)


def shown(value: object) -> str:
    """A value as the user wrote it: words in quotes, numbers bare."""
    return repr(value) if isinstance(value, str) and not _is_number(value) else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def written(value: Any) -> str:
    """A value as one writes it on the command line: ``yes``, ``1,2,2``, ``auto``; the inverse of parsing."""
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(written(v) for v in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
