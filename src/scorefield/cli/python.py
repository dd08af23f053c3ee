"""The Python that does the same as a command line, and command lines to try next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from scorefield.options import written

_RENAMED = {"class": "label"}  # `class` is a word of Python


def call(function: str, first: str | int | None, given: Mapping[str, Any], without: tuple[str, ...] = ()) -> str:
    """``scorefield.train('digits', steps=100, **{'net.channels': 64})``: a call of ``function`` with what was typed."""
    plain = {_RENAMED.get(k, k): v for k, v in given.items() if "." not in k and k not in without and v is not None}
    dotted = {k: v for k, v in given.items() if "." in k}
    parts = [_shown(first)] if first is not None else []
    parts += [f"{key}={_shown(value)}" for key, value in plain.items()]
    parts += [f"**{{{', '.join(f'{_shown(k)}: {_shown(v)}' for k, v in dotted.items())}}}"] if dotted else []
    return f"{function}({', '.join(parts)})"


def _shown(value: Any) -> str:
    """A value as Python, words in double quotes; a list of one word is the word."""
    if isinstance(value, list):
        single = len(value) == 1 and isinstance(value[0], str)
        return _shown(value[0]) if single else f"[{', '.join(map(_shown, value))}]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else repr(value)


def command_line(command: str, target: str, given: Mapping[str, Any]) -> str:
    """``scorefield train photos/ size=64``, quoted for a shell."""
    words = [target, *(f"{name}={written(value)}" for name, value in given.items())]
    return " ".join(["scorefield", command, *map(shlex.quote, words)])
