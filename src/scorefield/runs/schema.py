"""JSON schemas of config.toml and of recipes, made from the options and from the constructors of all registered parts,
so that an editor completes and checks what is typed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from scorefield import registry
from scorefield.config import json_type
from scorefield.options import COMMANDS, SECTIONS, Option
from scorefield.options.shared import SOLVERS, TOKEN_SOLVERS
from scorefield.registry import parameters, to_config
from scorefield.runs import build, recipe_files  # noqa: F401  (build: importing registers)
from scorefield.runs.folder import FORMAT
from scorefield.runs.request import RENEWED
from scorefield.training import Settings

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
READY_MADE = ("net", "process")  # arguments of a denoiser that are sections of their own
TYPES: dict[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "path": {"type": "string"},
    "choice": {"type": "string"},
    "ints": {"type": "array", "items": {"type": "integer"}},
    "floats": {"type": "array", "items": {"type": "number"}},
    "words": {"type": "array", "items": {"type": "string"}},
}
BOUNDS = {"low": "minimum", "above": "exclusiveMinimum", "high": "maximum"}


def of_config() -> Schema:
    """The schema of config.toml."""
    sections: Schema = {name: {"$ref": f"#/$defs/{name}"} for name in SECTIONS}
    sections |= {
        "format": {"type": "integer", "maximum": FORMAT},
        "data": _data(),
        "train": _train(),
        "sample": _sample(),
    }
    return {
        "$schema": DIALECT,
        "title": "config.toml of a scorefield run",
        "type": "object",
        "required": ["format", "data", "train", "sample", *SECTIONS],
        "properties": sections,
        "additionalProperties": False,
        "$defs": _parts(),
    }


def of_recipe() -> Schema:
    """The schema of a recipe file."""
    text: Schema = {"type": "string", "minLength": 1}
    figures: Schema = {key: text for key in recipe_files.MEASURED} | {"date": {}}
    figures["results"] = {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}]}
    table = _object(figures) | {"required": list(recipe_files.MEASURED)}
    own = {o.name: _option(o) for o in COMMANDS["train"].options.values() if o.name not in recipe_files.NOT_ITS_OWN}
    return {
        "$schema": DIALECT,
        "title": "a recipe of scorefield",
        "required": [*recipe_files.TEXTS, "measured"],
        **_object(
            {key: text for key in recipe_files.TEXTS}
            | {"measured": {"anyOf": [{"const": recipe_files.UNMEASURED}, table]}}
            | {"train": _object(own | {name: _section(own.get(name)) for name in SECTIONS})}
        ),
    }


def _section(option: Schema | None) -> Schema:
    """A section of settings; where an option has the same name (``codec``), the value of that, too."""
    table: Schema = {"type": "object"}
    return table if option is None else {"anyOf": [option, table]}


def _parts() -> Schema:
    """``net`` → any network, by its ``type``; ``net.unet`` → its arguments; for every family."""
    schemas: Schema = {}
    for family in registry.families():
        known = registry.names(family)
        chosen = [{"if": _typed(name), "then": {"$ref": f"#/$defs/{family}.{name}"}} for name in known]
        any_of_them = {"type": "object", "required": ["type"], "properties": {"type": {"enum": known}}, "allOf": chosen}
        schemas |= {family: any_of_them} | {f"{family}.{name}": _part(name, family) for name in known}
    return schemas


def _typed(name: str) -> Schema:
    return {"properties": {"type": {"const": name}}, "required": ["type"]}


def _part(name: str, family: str) -> Schema:
    """The arguments of one registered class."""
    cls = registry.find(name, family)
    own = [p for p in parameters(cls) if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    own = [p for p in own if not (family == "denoiser" and p.name in READY_MADE)]
    properties = {"type": {"const": name}} | {p.name: _argument(cls, p, family) for p in own}
    needed = [p.name for p in own if p.default is inspect.Parameter.empty]
    free = any(p.kind is p.VAR_KEYWORD for p in parameters(cls))
    described = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")
    return _object(properties) | {
        "description": described,
        "required": ["type", *needed],
        "additionalProperties": free,
    }


def _argument(cls: type, parameter: inspect.Parameter, family: str) -> Schema:
    schema = json_type(cls, parameter)
    if schema is None:
        home = registry.home(parameter.name, family)
        return {"$ref": f"#/$defs/{home}"} if home else {}
    default = _plain(parameter.default)
    return schema | ({"default": default} if default is not None else {})


def _plain(default: Any) -> Any:
    """A default that JSON can hold, else None."""
    finite = isinstance(default, bool | int | str) or (isinstance(default, float) and abs(default) < float("inf"))
    return to_config(default) if finite else None


def _data() -> Schema:
    reading = {option.name: _option(option) for _, group in COMMANDS["data"].groups[:1] for option in group}
    return {"type": "object", "required": ["source", "found"]} | {
        "properties": {"source": {"type": "string"}, "found": {"type": "object"}} | reading
    }


def _train() -> Schema:
    """The settings of the loop, as its own constructor would check them, and what else `train` remembers there."""
    kept = {key: name for name, key in RENEWED.items()}
    options = COMMANDS["train"].options
    others = {key: _option(options[name]) for key, name in kept.items() if name in options}
    settings = {p.name: json_type(Settings, p) or {} for p in parameters(Settings)}
    for key, schema in settings.items():
        option = options.get(kept.get(key, key))
        settings[key] = schema | ({"description": option.help} if option else {})
    coder = {name: settings[name] for name in ("steps", "minutes", "batch", "lr")}  # of the codec that is trained first
    return _object(others | settings | {"codec": _object(coder)})


def _sample() -> Schema:
    walk = {option.name: _option(option) for option in COMMANDS["sample"].options.values()}
    grid = {"anyOf": [{"$ref": "#/$defs/grid"}, {"enum": registry.names("grid")}]}
    known = {
        "steps": walk["steps"],
        "solver": {"enum": list(dict.fromkeys((*SOLVERS, *TOKEN_SOLVERS)))},
        "grid": grid,
        "guidance": walk["guidance"],
    }
    return {"type": "object", "properties": known}


def _option(option: Option) -> Schema:
    """One option of the command line, as TOML writes its value; a switch may be true or false, too."""
    schema: Schema = dict(TYPES[option.type])
    if option.choices:
        schema = {"enum": [*option.choices, True, False] if option.is_switch else list(option.choices)}
    limits = {word: getattr(option, name) for name, word in BOUNDS.items() if getattr(option, name) is not None}
    schema |= {"items": schema["items"] | limits} if "items" in schema else limits
    return schema | {"description": f"{option.help}{f' [{option.unit}]' if option.unit else ''}"}


def _object(properties: Mapping[str, Any]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


SCHEMAS: dict[str, Callable[[], Schema]] = {"config": of_config, "recipe": of_recipe}
