"""What to train, decided from the data, the options and the device; each value with a word on where it came from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from scorefield.data import Dataset
from scorefield.data.conditions import Scale
from scorefield.data.levels import levels_of
from scorefield.errors import UserError
from scorefield.options import SECTIONS
from scorefield.runs import (
    build,
    classifying,
    coding,
    densities,
    networks,
    noising,
    recipes,
    recipes_ordered,
    score_networks,
)
from scorefield.runs.draft import Draft, rounded
from scorefield.runs.folder import FORMAT
from scorefield.runs.source import READING
from scorefield.runs.story import rows_of

SAMPLED = {  # by family, and by kind where that has its own
    recipes.GAUSSIAN: recipes.SAMPLING,
    recipes.TOKENS: recipes.SAMPLING_TOKENS,
    recipes.MIXED: recipes.SAMPLING_TABLES,
    recipes.ORDERED: recipes_ordered.SAMPLING,
    "table": recipes.SAMPLING_TABLES,
}


@dataclass(frozen=True)
class Plan:
    """A complete config and its story. ``origins`` maps dotted keys to "command line", "recipe NAME", "default" or
    "chosen: why"."""

    config: dict[str, Any]
    origins: dict[str, str]
    notes: tuple[str, ...] = ()  # sentences the user should read: conversions of the data, compromises
    folder: Path | None = None
    step: int = 0  # where training goes on from
    stage: str = ""  # of a training in two stages: "codec", "diffusion"; "" for all of it

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(data | model | noise | training | device | run, what and why): what a terminal shows before it starts."""
        return rows_of(self)

    def at(self, folder: Path, step: int = 0) -> Plan:
        """The same plan, at work in ``folder``."""
        return replace(self, folder=folder, step=step)


def plan(
    dataset: Dataset,
    options: dict[str, Any],
    given: Iterable[str] = (),
    device: str = "cpu",
    said: Mapping[str, str] | None = None,
) -> Plan:
    """Decide everything that training needs. ``options`` are resolved (None: choose); ``given`` names those the user
    wrote; ``device`` is the type computed on (cpu, cuda, mps); ``said`` names those that somebody else wrote, such as
    ``{"lr": "recipe digits"}``.

    Nothing is written and no memory is taken, so every fault is found first. Raises UserError: a model that cannot
    learn this data, a size that cannot be halved, classes asked of data without, anything a constructor refuses."""
    draft = Draft(options, dict.fromkeys(given, "command line") | dict(said or {}))
    draft.config |= {"format": FORMAT, "data": {}}
    codec = coding.chosen(draft, dataset, device, _coding(dataset, options))
    seen = coding.seen(dataset, codec)  # as the network is told of it
    model = networks.choose(seen, options)
    recipe = networks.recipe(seen, model, device)
    if recipes.FAMILIES[seen.kind] == recipes.MIXED:
        recipe = noising.of_both(recipe, codec, networks.recipe(dataset, model, device).steps)
    classifies = bool(options.get("classifier"))
    if classifies:
        classifying.check(dataset, options, model)
        dataset = seen = classifying.of_data(dataset)
        recipe = recipe._replace(steps=round(classifying.STEPS * recipe.steps))
    classes = _classes(dataset, options)
    _data(draft, dataset)
    noise = noising.of(seen)
    noise.before(draft, seen, codec)
    networks.write(draft, seen, model, recipe, classes, device)
    noise.after(draft, dataset, codec, recipe, classes)
    if classifies:
        classifying.rewrite(draft)
    _train(draft, seen, recipe, device)
    coding.write_stage(draft, dataset, device)
    usual = SAMPLED.get(seen.kind) or SAMPLED[recipes.FAMILIES[seen.kind]]
    if not classifies:
        draft.section("sample", dict(usual), "default")
        score_networks.rewrite(draft)
        densities.rewrite(draft, dataset)
    for key, value in options.items():
        if "." in key and key.partition(".")[0] in SECTIONS:
            draft.override(key, value)
    _rehearse(draft.config)
    return Plan(draft.config, draft.origins, tuple(draft.notes))


def _rehearse(config: dict[str, Any]) -> None:
    """Build everything and send one example through it, without memory for either."""
    x = torch.empty_like(build.blank(config), device="meta")
    build.outline(config)(x, torch.tensor(0.5, dtype=torch.float64))
    build.objective(config), build.codec(config)
    build.settings(config).micro_batch(config["train"]["devices"])


def _classes(dataset: Dataset, options: dict[str, Any]) -> int:
    found = len(dataset.classes) if dataset.labels is not None else 0
    if options["conditional"] == "yes" and not found:
        raise UserError(
            f"conditional=yes needs classes, and {dataset.name} has none. "
            "Put each class of images in a folder of its own, or name the column that holds the class: label=NAME."
        )
    return 0 if options["conditional"] == "no" or found < 2 else found


def _data(draft: Draft, dataset: Dataset) -> None:
    draft.value("data.source", dataset.source, "command line")
    for name in READING:
        draft.option(f"data.{name}", name, None, "")
    draft.option("data.seed", "seed", 0, "")
    found: dict[str, Any] = {
        "name": dataset.name,
        "kind": dataset.kind,
        "shape": list(dataset.shape),
        "examples": len(dataset),
        "held_out": len(dataset.held_out) if dataset.held_out else 0,
        "classes": list(dataset.classes),
        "columns": list(dataset.columns),
        "fingerprint": dataset.fingerprint,
    }
    if dataset.conditions is not None:
        found["conditions"] = Scale.of(dataset.conditions, dataset.condition_names).to_json()
    if dataset.schema:
        found["schema"] = [column.to_dict() for column in dataset.schema]
    if dataset.kind == "images" and (levels := levels_of(dataset)).count < 256:
        found["levels"] = levels.to_json()
    if dataset.rate is not None:
        found["rate"] = dataset.rate
    draft.section("data.found", found, "found in the data")
    draft.notes += dataset.notes


def _coding(dataset: Dataset, options: dict[str, Any]) -> dict[str, str]:
    """How the columns of a table become numbers, where somebody said."""
    asked = {name: options[name] for name in ("scaling", "coding") if options.get(name) not in (None, "auto")}
    if asked and dataset.kind != "table":
        given = " ".join(f"{name}={word}" for name, word in asked.items())
        raise UserError(f"{given} is for tables, but {dataset.name} holds {dataset.kind}. Leave it out.")
    if dataset.kind != "table":
        return asked
    if options.get("classifier"):
        if asked.get("coding") == "tokens":
            raise UserError("classifier=yes tells noisy numbers apart, and coding=tokens makes none. Leave one out.")
        return {"coding": "numbers"} | asked
    return {"coding": networks.CODINGS[options["model"]]} | asked if options["model"] in networks.CODINGS else asked


def _train(draft: Draft, dataset: Dataset, recipe: recipes.Recipe, device: str) -> None:
    limited = any(draft.options[name] is not None for name in ("steps", "images", "minutes"))
    why = f"for {dataset.kind} of {networks.edge_of(dataset)} on {device}"
    draft.option("train.steps", "steps", None if limited else recipe.steps, why)
    draft.option("train.images", "images", None, "")
    draft.option("train.minutes", "minutes", None, "")
    draft.option("train.batch", "batch", recipe.batch, why)
    draft.option("train.lr", "lr", recipe.lr, why)
    draft.option("train.warmup", "warmup", None, "")
    for name, value in recipes.TRAINING.items():
        draft.option(f"train.{name}", name, value, None)
    draft.config["train"]["clip"] = draft.config["train"]["clip"] or None
    draft.option("train.ema", "ema", recipes.EMA, None)
    draft.option("train.seed", "seed", 0, None)
    flip = {"yes": True, "no": False}.get(draft.options["flip"], dataset.flip_ok)
    why = "chosen: mirrored, the data stay likely" if flip else "chosen: mirrored, the data would not be data"
    draft.value("train.flip", flip, draft.origin("flip", why))
    _calendar(draft)
    draft.value("train.device", device, draft.origin("device", "chosen: the best one found"))
    draft.option("train.devices", "devices", 1, None)
    draft.option("train.evaluate", "evaluate", True, None)
    draft.option("train.tracker", "tracker", [], None)


def _calendar(draft: Draft) -> None:
    """Every so many steps, in round numbers; or spread over a run that only the clock limits."""
    train = draft.config["train"]
    steps = train["steps"] or (train["images"] and math.ceil(train["images"] / train["batch"]))
    for key, name, most in (
        ("log_every", "log", recipes.LOGS),
        ("save_every", "save", recipes.SAVES),
        ("preview_every", "preview", recipes.PREVIEWS),
    ):
        every = rounded(steps / most) if steps else 0
        draft.option(f"train.{key}", name, every, f"at most {most} a run" if steps else "the clock decides")
    for key, name, most in (("logs", "log", recipes.LOGS), ("previews", "preview", recipes.PREVIEWS)):
        spread = most if not steps and draft.chosen(name) is None else 0
        draft.value(f"train.{key}", spread, "chosen: spread over a run of unknown steps" if spread else "default")
