"""config.toml ↔ dict, and the check of constructor arguments. The only importer of pydantic, and only when it checks.

A config is complete: every value stands there with where it came from as a comment, so that a run can be read years
later, and rebuilt from the file alone.
"""

from __future__ import annotations

import inspect
import json
import math
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from scorefield import registry
from scorefield.errors import UserError, suggest

_PLAIN = {int, float, str, bool, type(None)}
_CONTAINERS = {list, tuple, dict, Sequence, Iterable, Mapping, Union, types.UnionType}
_FAMILIES = (
    *("net", "schedule", "keep", "process", "denoiser", "law", "objective", "times", "weight", "codec", "solver"),
    "grid",
)
_NEEDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "yes or no",
    "string": "a word",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table",
    "none": "left out",
    "too": "a list of another length",
    "missing": "a longer list",
}


def loads(text: str, name: str = "config.toml") -> dict[str, Any]:
    """The dict a TOML text describes. Raises UserError with the line at fault."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name} is not valid TOML: {error}.") from error


def load(path: Path) -> dict[str, Any]:
    """The dict in a TOML file. Raises UserError when it cannot be read."""
    try:
        return loads(path.read_text(encoding="utf-8"), str(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path} does not exist.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text.") from error


def dumps(config: Mapping[str, Any], origins: Mapping[str, str] | None = None, heading: str = "") -> str:
    """TOML text of ``config``; ``origins`` (dotted key → sentence) become trailing comments.

    None has no TOML form: such a key is left out, with a comment where an origin is known."""
    lines = [f"# {line}" for line in heading.splitlines()]
    _emit(config, (), origins or {}, lines)
    return "\n".join(lines).strip("\n") + "\n"


def _emit(table: Mapping[str, Any], path: tuple[str, ...], origins: Mapping[str, str], lines: list[str]) -> None:
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    if path and (plain or not table):
        lines += ["", f"[{'.'.join(map(_key, path))}]"]
    written = {k: f"{_key(k)} = {toml_value(v)}" if v is not None else f"# {k} is not set" for k, v in plain.items()}
    width = min(max(map(len, written.values()), default=0), 40)
    for key, text in written.items():
        origin = origins.get(".".join((*path, key)), "")
        lines.append(f"{text:<{width}}  # {' '.join(origin.split())}" if origin else text)
    for key, value in table.items():
        if isinstance(value, Mapping):
            _emit(value, (*path, key), origins, lines)


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else _quoted(key)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """One value as TOML: strings escaped, floats that stay floats, lists and inline tables."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _toml_float(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(k)} = {toml_value(v)}' for k, v in value.items() if v is not None)} }}"
    if isinstance(value, int):
        return str(value)
    return _quoted(str(value))


def _toml_float(value: float) -> str:
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    text = repr(value)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def validate_call(cls: type, arguments: Mapping[str, Any], path: str = "config") -> dict[str, Any]:
    """The arguments of ``cls(...)``, coerced to what its signature says; defaults are left to the constructor.

    Raises UserError with the path of the fault: an argument it does not take, one it needs, one of the wrong type."""
    parameters = {p.name: p for p in registry.parameters(cls)}
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in arguments:
        if name not in named and not takes_any:
            raise UserError(f"{path}.{name}: {_name(cls)} takes no {name!r}.{suggest(name, named)}")
    for name, parameter in named.items():
        if name not in arguments and parameter.default is inspect.Parameter.empty:
            raise UserError(f"{path}.{name} is missing: {_name(cls)} needs it.")
    return {n: coerce(v, _annotation(cls, named.get(n)), f"{path}.{n}") for n, v in arguments.items()}


def coerce(value: Any, annotation: Any, path: str) -> Any:
    """``value`` as the annotated type: '2e-4' is a float, [1, 2] a tuple where the signature says so.

    Annotations that name objects (networks, schedules, tensors) are not looked into: those were built from a config
    of their own. Raises UserError."""
    if not _is_plain(annotation):
        if annotation is not Any and isinstance(value, str | int | float) and not _mentions_plain(annotation):
            raise UserError(f"{path} must be a table with a 'type', got {value!r}.")
        return value
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        raise UserError(f"{path} must be {_need(error.errors())}, got {value!r}.") from error


def json_type(cls: type, parameter: inspect.Parameter) -> dict[str, Any] | None:
    """The JSON schema of one constructor argument, as ``coerce`` would check it; None for one that is an object."""
    annotation = _annotation(cls, parameter)
    if not _is_plain(annotation):
        return {} if annotation is Any else None
    from pydantic import TypeAdapter

    return TypeAdapter(annotation).json_schema()


def _need(errors: Sequence[Any]) -> str:
    """What pydantic wanted, in our words; the alternatives of a union are joined by "or"."""
    needs: dict[str, None] = {}
    for error in errors:
        expected = error.get("ctx", {}).get("expected")
        needs[f"one of {expected}" if expected else _NEEDS.get(error["type"].split("_")[0], error["msg"])] = None
    return " or ".join(needs)


def _name(cls: type) -> str:
    """What a config calls ``cls``: its registered name, else its own."""
    known = ((name, family) for family in _FAMILIES for name in registry.names(family))
    return next((name for name, family in known if registry.find(name, family) is cls), cls.__name__)


def _annotation(cls: type, parameter: inspect.Parameter | None) -> Any:
    """The evaluated annotation; Any where there is none, or where it names something imported for type checkers."""
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return Any
    function = inspect.unwrap(cls.__init__)
    holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        return get_type_hints(holder, globalns=getattr(function, "__globals__", {}))["it"]
    except NameError:
        return Any


def _is_plain(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Literal or annotation in _PLAIN:
        return True
    return origin in _CONTAINERS and all(a is Ellipsis or _is_plain(a) for a in get_args(annotation))


def _mentions_plain(annotation: Any) -> bool:
    return _is_plain(annotation) or any(_mentions_plain(a) for a in get_args(annotation))
