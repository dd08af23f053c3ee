"""How data are destroyed and what is learned from that, as sections of a config: for numbers, to which noise is added,
and for tokens, which noise replaces."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from scorefield.core import Rng
from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.options.shared import KEEPS, SCHEDULES
from scorefield.runs import densities, recipes, recipes_coded, recipes_ordered, score_networks
from scorefield.runs.draft import Draft
from scorefield.runs.recipes import GAUSSIAN, MIXED, ORDERED, TOKENS

MEASURED = 4096  # examples that σ_data is measured on


class Noising(NamedTuple):
    """``before`` writes what the network must know of the noise, ``after`` the rest, where the network is known."""

    before: Callable[[Draft, Dataset, Any], None]
    after: Callable[[Draft, Dataset, Any, recipes.Recipe, int], None]


def of(dataset: Dataset) -> Noising:
    """How data of this kind are destroyed."""
    return NOISINGS[recipes.FAMILIES[dataset.kind]]


def _refuse(draft: Draft, dataset: Dataset, why: str, *names: str) -> None:
    """Raises UserError for an option that means nothing for such data."""
    for name in names:
        if draft.chosen(name) is not None:
            raise UserError(
                f"{name}={draft.chosen(name)} is for {why}, but {dataset.name} holds {dataset.kind}. Leave {name} out."
            )


def _before_numbers(draft: Draft, dataset: Dataset, codec: Any) -> None:
    if draft.config["codec"]["type"] != "argmax":
        _refuse(draft, dataset, "text and categories", "noise")
    _known(draft, dataset, (*SCHEDULES, densities.LEARNED))


def _known(draft: Draft, dataset: Dataset, schedules: tuple[str, ...]) -> None:
    asked = draft.chosen("schedule")
    if asked is not None and asked not in schedules:
        raise UserError(
            f"schedule={asked} does not suit {dataset.name}, which holds {dataset.kind}. "
            f"Write one of {', '.join(schedules)}, or leave schedule out."
        )


def _numbers(draft: Draft, dataset: Dataset, codec: Any, recipe: recipes.Recipe, classes: int) -> None:
    sigma_data = root_mean_square(dataset, codec)
    schedule = draft.chosen("schedule") or recipes.SCHEDULE
    predict = draft.chosen("predict") or recipes.PREDICT
    why = "chosen: EDM's, where every noise level is a unit-variance problem (Karras et al. 2022)"
    draft.value("process.type", "gaussian", "default")
    draft.value("process.schedule.type", schedule, draft.origin("schedule", why))
    made = score_networks.DENOISERS.get(predict) or {"type": "preconditioned", "predict": predict}
    draft.section("denoiser", made, draft.origin("predict", why))
    draft.value("denoiser.sigma_data", sigma_data, "chosen: the root mean square of the encoded data")
    draft.value("objective.type", "denoising", "default")
    draft.section("objective.times", *_times(draft, dataset, codec, sigma_data, recipe.level))
    weight = draft.chosen("weight") or recipes.WEIGHTS[predict]
    draft.value("objective.weight.type", weight, draft.origin("weight", f"chosen: goes with predict={predict}"))
    if weight == "edm":
        draft.value("objective.weight.sigma_data", sigma_data, "chosen: as the denoiser's")
    _dropout(draft, dataset, classes)


def root_mean_square(dataset: Dataset, codec: Any) -> float:
    """√E[x²] of the encoded numbers to four decimals, over examples spread evenly through them."""
    numbers = _some(dataset, codec)
    return round(max(numbers.square().mean().sqrt().item(), 1e-3), 4) if numbers.numel() else 1.0


def _some(dataset: Dataset, codec: Any) -> torch.Tensor:
    """The encoded numbers of some examples, spread evenly through all of them, (N, *D) float64."""
    index = torch.linspace(0, len(dataset) - 1, min(len(dataset), MEASURED)).long()
    x = dataset.batch(index)["x"]
    drawn = (Rng(0),) if getattr(codec, "draws", False) else ()
    encoded = codec.encode(x, *drawn).double()
    return encoded[:, : getattr(codec, "columns", encoded.shape[1])]  # of a table with tokens they come first


def _times(draft: Draft, dataset: Dataset, codec: Any, sigma_data: float, level: float) -> tuple[dict[str, Any], str]:
    asked, schedule = draft.chosen("times"), draft.config["process"]["schedule"]["type"]
    usual = score_networks.TIMES.get(draft.config["denoiser"].get("predict"), recipes.TIMES[schedule])
    law = {"type": asked} if asked else dict(usual)
    measured = {
        "log-normal": lambda: _log_normal(draft, dataset, sigma_data, level),
        "levels": lambda: _levels(dataset, codec),
    }
    law |= measured.get(law["type"], dict)()
    if asked:
        return law, draft.origin("times", "command line")
    return {"type": "stratified", "times": law}, f"chosen: goes with schedule={schedule}; stratified for less variance"


def _log_normal(draft: Draft, dataset: Dataset, sigma_data: float, level: float) -> dict[str, Any]:
    kind = recipes_coded.view(dataset.kind, draft.config["codec"]["type"])
    return {"mean": round(level + math.log(2 * sigma_data), 4), "std": recipes.SPREADS[kind]}


def _levels(dataset: Dataset, codec: Any) -> dict[str, Any]:
    if getattr(codec, "sizes", ()):
        raise UserError(
            f"times=levels, which predict=ncsn has, is for numbers alone, but {dataset.name} has categories beside "
            "them. Leave it out, or write coding=numbers."
        )
    return score_networks.levels(_some(dataset, codec))


def _dropout(draft: Draft, dataset: Dataset, classes: int) -> None:
    told = classes or dataset.conditions is not None
    draft.option("objective.label_dropout", "label_dropout", recipes.LABEL_DROPOUT if told else 0.0, "for guidance")


def _before_tokens(draft: Draft, dataset: Dataset, codec: Any) -> None:
    _refuse(draft, dataset, "images and other numbers", "predict", "weight", "times")
    _known(draft, dataset, KEEPS)
    usual = recipes.NOISE_OF.get(draft.config["codec"]["type"], recipes.NOISE)
    noise, why = draft.chosen("noise") or usual, WHY[usual]
    draft.value("process.type", "discrete", "default")
    draft.value("process.classes", codec.classes, "found in the data")
    draft.value("process.masked", recipes.MASKED[noise], draft.origin("noise", why))
    keep = draft.chosen("schedule") or recipes.KEEP
    draft.value("process.keep.type", keep, draft.origin("schedule", "chosen: every share of masks equally often"))


def _tokens(draft: Draft, dataset: Dataset, codec: Any, recipe: recipes.Recipe, classes: int) -> None:
    draft.value("denoiser.type", "categorical", "default")
    draft.value("objective.type", "elbo", "default")
    _dropout(draft, dataset, classes)


def of_both(recipe: recipes.Recipe, codec: Any, most: int) -> recipes.Recipe:
    """The recipe of a table with tokens, with the steps for its numbers added, ``most`` at most: what takes
    long is how they depend on each other."""
    numbers = min(recipe.numbers * codec.columns**2, most)
    return recipe._replace(steps=recipe.steps + numbers, numbers=numbers)


def _mixed(draft: Draft, dataset: Dataset, codec: Any, recipe: recipes.Recipe, classes: int) -> None:
    """As for numbers, and beside that what becomes of the tokens."""
    _numbers(draft, dataset, codec, recipe, classes)
    forgotten, said = draft.config["objective"].pop("label_dropout"), draft.origins.pop("objective.label_dropout")
    draft.nest("process", "numbers"), draft.nest("objective", "numbers")
    draft.value("process.type", "product", "chosen: masks for the tokens, and then noise for the numbers")
    draft.value("process.columns", codec.columns, "found in the data")
    tokens = {"type": "discrete", "classes": max(codec.sizes), "masked": recipes.MASKED[recipes.NOISE]}
    draft.section("process.tokens", tokens | {"keep": {"type": recipes.KEEP}}, WHY[recipes.NOISE])
    draft.value("denoiser.type", "joint", "default")
    draft.value("denoiser.sizes", list(codec.sizes), "found in the data")
    draft.value("objective.type", "joint", "default")
    draft.value("objective.tokens.type", "elbo", "default")
    share = round(recipe.numbers / recipe.steps, 4)
    draft.value("objective.share", share, f"chosen: {recipe.numbers:,} of {recipe.steps:,} steps for the numbers")
    draft.value("objective.label_dropout", forgotten, said)


def _before_ordered(draft: Draft, dataset: Dataset, codec: Any) -> None:
    """Pixels are masked in raster order, whoever asks: there is nothing to choose."""
    for name in ("schedule", "noise", "predict", "weight", "times"):
        if draft.chosen(name) is not None:
            raise UserError(
                f"{name}={draft.chosen(name)} is for diffusion, and model={draft.chosen('model')} draws pixel after "
                f"pixel. Leave {name} out."
            )
    draft.value("process.type", "raster", "chosen: pixels in raster order")
    draft.value("process.levels", codec.levels.count, "found in the data")
    draft.value("denoiser.type", "autoregressive", "default")
    draft.section("denoiser.law", recipes_ordered.LAWS[draft.chosen("model")], "default")


def _ordered(draft: Draft, dataset: Dataset, codec: Any, recipe: recipes.Recipe, classes: int) -> None:
    draft.value("objective.type", "elbo", "chosen: −log p itself, as every term is seen at once")
    _dropout(draft, dataset, classes)


WHY = {
    "masking": "chosen: masks, whose bound is the tightest known (Sahoo et al. 2024)",
    "mask-and-replace": "chosen: at the end 0.9 of the codes are masked and 0.1 replaced (Gu et al. 2022)",
}
NOISINGS = {GAUSSIAN: Noising(_before_numbers, _numbers), TOKENS: Noising(_before_tokens, _tokens)}
NOISINGS |= {MIXED: Noising(_before_numbers, _mixed), ORDERED: Noising(_before_ordered, _ordered)}
