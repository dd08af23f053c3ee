"""Objects ↔ plain data. An object's config is the call that made it: ``{"type": name, **arguments}``, recursively.

Only registered names can be built, so a downloaded config cannot run code. Torch-free to import.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

from .errors import UserError, suggest

T = TypeVar("T", bound=type)

_FAMILIES: dict[str, dict[str, type]] = {}
_RECORD = "_registered_call"  # attribute of an instance: (registered name, arguments of its constructor)


def register(name: str, family: str) -> Callable[[T], T]:
    """Class decorator: ``{"type": name}`` builds this class, and its instances remember the call that made them.

    Raises ValueError when the name is taken: two classes under one name would make configs ambiguous.
    """

    def decorate(cls: T) -> T:
        known = _FAMILIES.setdefault(family, {})
        if name in known:
            raise ValueError(f"{family} {name!r} is registered already, by {known[name].__qualname__}.")
        known[name] = cls
        init, signature = cls.__init__, inspect.signature(cls.__init__)

        @wraps(init)
        def recorded(self: Any, *args: Any, **kwargs: Any) -> None:
            bound = signature.bind(self, *args, **kwargs)
            arguments = dict(list(bound.arguments.items())[1:])
            for parameter in signature.parameters.values():  # what **options caught is an argument like any other
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    arguments |= arguments.pop(parameter.name, {})
            object.__setattr__(self, _RECORD, (name, arguments))  # frozen dataclasses refuse plain assignment
            init(self, *args, **kwargs)

        cls.__init__ = recorded
        return cls

    return decorate


def names(family: str) -> list[str]:
    """Sorted registered names of a family, such as ``names("schedule")``."""
    return sorted(_FAMILIES.get(family, {}))


def families() -> list[str]:
    """Sorted names of everything that parts are registered under: codec, denoiser, net, schedule …"""
    return sorted(_FAMILIES)


def home(argument: str, family: str) -> str | None:
    """The family that the table of ``argument`` is built in, inside an object of ``family``: that of its own name, else
    the one it is part of (the ``inner`` of a solver is a solver); None where neither is a family."""
    return next((name for name in (argument, family) if name in _FAMILIES), None)


def find(name: str, family: str, path: str = "config") -> type:
    """The class registered under ``name``. Raises UserError with the nearest known name."""
    known = _FAMILIES.get(family, {})
    if name not in known:
        raise UserError(f"{path}.type: no {family} is called {name!r}.{suggest(name, known)}")
    return known[name]


def to_config(obj: Any) -> Any:
    """The call that made ``obj``, as dicts, lists and scalars (ready for TOML or JSON).

    Raises TypeError for an object whose class is not registered.
    """
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, dict):
        return {k: to_config(v) for k, v in obj.items()}
    if isinstance(obj, list | tuple):
        return [to_config(v) for v in obj]
    record = getattr(obj, _RECORD, None)
    if record is None:
        raise TypeError(f"{type(obj).__name__} has no config: register its class, or pass plain values.")
    name, arguments = record
    return {"type": name} | {k: to_config(v) for k, v in arguments.items() if v is not None}


def from_config(config: Any, family: str, path: str = "config", **given: Any) -> Any:
    """Build what ``config`` describes; nested dicts with a ``type`` are built first, in the family of their key or,
    where no family has that name, in the family that they are part of (the ``inner`` of a solver is a solver).

    ``given`` are ready-made arguments that stand beside those of the config (a network for a denoiser).
    Raises UserError with the path of the fault: an unknown name, an unknown or ill-typed argument.
    """
    if not isinstance(config, dict) or "type" not in config:
        raise UserError(f"{path} needs a 'type'.{suggest('', names(family)) if names(family) else ''}")
    cls = find(config["type"], family, path)
    own = {parameter.name for parameter in parameters(cls)}
    homes = {k: family if k in own and k not in _FAMILIES else k for k in config if k != "type"}
    arguments = {k: _build(config[k], home, f"{path}.{k}") for k, home in homes.items()} | given
    from .config import validate_call  # pydantic lives there; numerics never need it

    arguments = validate_call(cls, arguments, path)
    try:
        return cls(**arguments)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _build(value: Any, family: str, path: str) -> Any:
    if isinstance(value, dict) and "type" in value:
        if family not in _FAMILIES:
            raise UserError(f"{path}: nothing registered belongs here.{suggest(family, _FAMILIES)}")
        return from_config(value, family, path)
    if isinstance(value, list):
        return [_build(v, family, f"{path}[{i}]") for i, v in enumerate(value)]
    return value


def parameters(cls: type) -> Iterable[inspect.Parameter]:
    """The constructor's parameters without ``self``: what a config of this class may hold."""
    return list(inspect.signature(cls.__init__).parameters.values())[1:]
