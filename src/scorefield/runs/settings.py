"""The settings of a run or a recipe with where each came from, and how two of them differ."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scorefield import registry
from scorefield.errors import UserError
from scorefield.options import COMMANDS, flatten, resolve
from scorefield.registry import parameters, to_config
from scorefield.runs import build, recipe_files, source, weights  # noqa: F401  (build: importing registers)
from scorefield.runs.folder import RUNS, RunFolder, find
from scorefield.runs.plan import plan
from scorefield.runs.recipe_files import RecipeFile

RECIPE = "recipe:"  # before a name that a run has, too


class Setting(NamedTuple):
    """One value: its dotted key and who gave it."""

    key: str
    value: Any
    origin: str


class Difference(NamedTuple):
    """One key that two sets of settings do not agree on; None where a side has no such key."""

    key: str
    a: Setting | None
    b: Setting | None


@dataclass(frozen=True)
class Settings:
    """What a run or a recipe was told: ``kind`` is "run" or "recipe", ``config`` is as in its file."""

    name: str
    kind: str
    path: Path
    config: Mapping[str, Any]
    origins: Mapping[str, str]
    folder: RunFolder | None = None
    recipe: RecipeFile | None = None

    @property
    def settings(self) -> list[Setting]:
        """Every value in the order of the file."""
        return [Setting(key, value, self.origins.get(key, "")) for key, value in flatten(self.config).items()]


def read(word: str, runs: str | Path = RUNS) -> Settings:
    """The settings of a run (as ``find`` knows it) or of a recipe, by name or file; ``recipe:NAME`` is never a run.

    Raises UserError where the word is neither."""
    if word.startswith(RECIPE) or (word.endswith(".toml") and Path(word).name != "config.toml"):
        return _of_recipe(recipe_files.find(word.removeprefix(RECIPE)))
    try:
        found = find(word, runs)
    except UserError as missing:
        names = [recipe.name for recipe in recipe_files.listing()]
        if word in names:
            return _of_recipe(recipe_files.find(word))
        raise UserError(f"{missing} Nor is it a recipe: {', '.join(names)}.") from missing
    if found.folder is not None:
        origins = found.folder.env().get("origins", {})
        return Settings(found.folder.name, "run", found.folder.path, found.folder.config(), origins, found.folder)
    assert found.weights is not None  # a Found names one of the two
    return Settings(found.weights.stem, "run", found.weights, weights.read(found.weights).config, {})


def _of_recipe(recipe: RecipeFile) -> Settings:
    origins = dict.fromkeys(recipe.options, recipe.origin)
    return Settings(recipe.name, "recipe", recipe.path, recipe.options, origins, recipe=recipe)


def with_defaults(settings: Settings) -> Settings:
    """The same, with what the file leaves to others: arguments that the constructors of a run's parts fill in by
    themselves, options that a recipe leaves to `train`."""
    if settings.recipe is not None:
        options = COMMANDS["train"].options
        rest = {n: o.default for n, o in options.items() if n not in (*settings.config, *recipe_files.NOT_ITS_OWN)}
        return _extended(settings, dict(settings.config) | rest, dict.fromkeys(rest, "default of train"))
    config, origins = _completed(settings.config, "", "")
    return _extended(settings, config, origins)


def _extended(settings: Settings, config: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    named = {key: text for key, text in origins.items() if key not in settings.origins}
    return Settings(
        settings.name,
        settings.kind,
        settings.path,
        config,
        dict(settings.origins) | named,
        settings.folder,
        settings.recipe,
    )


def _completed(table: Mapping[str, Any], path: str, family: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The table with the defaults of the registered part it describes, and the origins of those."""
    full: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in table.items():
        full[key] = value
        if isinstance(value, Mapping):
            full[key], inner = _completed(value, f"{path}{key}.", registry.home(key, family) or "")
            origins |= inner
    if table.get("type") in registry.names(family):
        for parameter in _left_out(registry.find(table["type"], family), table):
            full[parameter.name] = to_config(parameter.default)
            origins[f"{path}{parameter.name}"] = f"default of {table['type']}"
    return full, origins


def _left_out(cls: type, table: Mapping[str, Any]) -> Iterator[inspect.Parameter]:
    """Arguments with a plain default that the table does not give."""
    for parameter in parameters(cls):
        if parameter.name not in table and isinstance(parameter.default, bool | int | float | str | tuple | list):
            yield parameter


def differences(a: Settings, b: Settings) -> list[Difference]:
    """Where ``a`` and ``b`` disagree, in the order of ``a``. A recipe beside a run becomes the run that it would have
    made of the same data.

    Raises UserError where that data cannot be opened."""
    a, b = _planned(a, b), _planned(b, a)
    ours = {setting.key: setting for setting in a.settings}
    theirs = {setting.key: setting for setting in b.settings}
    keys = dict.fromkeys([*ours, *theirs])
    pairs = (Difference(key, ours.get(key), theirs.get(key)) for key in keys)
    return [pair for pair in pairs if _value(pair.a) != _value(pair.b)]


def _value(setting: Setting | None) -> Any:
    """Not set and not there are the same, as are tuples and lists."""
    value = setting.value if setting else None
    return list(value) if isinstance(value, tuple) else value


def _planned(settings: Settings, other: Settings) -> Settings:
    if settings.recipe is None or other.recipe is not None:
        return settings
    if other.folder is None:
        raise UserError(
            f"{other.path} is one file without its data, which the recipe needs. Give the whole run folder."
        )
    recipe, section = settings.recipe, other.config["data"]
    values = resolve("train", recipe.options)
    given = str(other.folder.data_file) if section["source"] == source.ARRAYS else section["source"]
    dataset = source.open_source(source.source_of(given), values)
    said = dict.fromkeys(recipe.options, recipe.origin)
    made = plan(dataset, values, device=other.config["train"]["device"], said=said)
    made.config["data"]["source"] = section["source"]
    made.config["data"]["found"]["name"] = section["found"]["name"]
    return Settings(settings.name, "recipe", settings.path, made.config, made.origins, recipe=recipe)
