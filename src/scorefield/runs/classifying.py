"""Runs that classify noisy data instead of making new ones: what they do otherwise than other runs, in one place."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.runs import recipes
from scorefield.runs.draft import Draft

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

CLASSIFYING = "classifying"  # the type of the denoiser of such a run
SPREAD = 2.0  # of ln σ/α in training: guidance listens at every noise level, and a classifier learns fast
STEPS = 0.5  # of those of a model that samples
OTHERS = ("predict", "weight", "label_dropout", "noise", "condition")  # options that mean nothing here


def is_classifier(config: dict[str, Any]) -> bool:
    """Whether a run with this config classifies."""
    return config["denoiser"]["type"] == CLASSIFYING


def check(dataset: Dataset, options: dict[str, Any], model: str) -> None:
    """Raises UserError, one sentence, where ``classifier=yes`` cannot learn these data or with these options."""
    if recipes.FAMILIES[dataset.kind] != recipes.GAUSSIAN:
        raise UserError(
            f"classifier=yes learns images, points, tables and signals; {dataset.name} holds {dataset.kind}."
        )
    if dataset.labels is None or len(dataset.classes) < 2:
        raise UserError(
            f"classifier=yes learns to tell classes apart, and {dataset.name} has none. "
            "Put each class of images in a folder of its own, or name the column that holds the class: label=NAME."
        )
    if model not in ("unet", "mlp"):
        raise UserError(f"classifier=yes makes a classifier of model=unet or model=mlp, not of model={model}.")
    for name in OTHERS:
        if options.get(name) not in (None, "auto"):
            raise UserError(f"{name} says how a model that samples is trained; with classifier=yes leave {name} out.")
    if options["conditional"] == "no":
        raise UserError("conditional=no leaves the classes out, which classifier=yes is to learn. Leave it out.")


def of_data(dataset: Dataset) -> Dataset:
    """The dataset as a classifier sees it: without numbers to condition on."""
    return replace(dataset, conditions=None, condition_names=())


def rewrite(draft: Draft) -> None:
    """Turn the sections of a model that samples into those of a classifier of the same network."""
    said = draft.origin("classifier", "command line")
    draft.value("net.body", draft.config["net"]["type"], draft.origins["net.type"])
    draft.value("net.type", "classifier", said)
    for path in ("denoiser.predict", "objective.weight", "objective.label_dropout"):
        draft.drop(path)
    draft.value("denoiser.type", CLASSIFYING, said)
    draft.value("objective.type", "classification", said)
    times = draft.config["objective"]["times"]
    law = times.get("times", times)
    if draft.chosen("times") is None and law["type"] == "log-normal":
        at = "objective.times.times" if "times" in times else "objective.times"
        why = "chosen: every noise level, for guidance listens at all of them"
        draft.value(f"{at}.mean", round(math.log(draft.config["denoiser"]["sigma_data"]), 4), why)
        draft.value(f"{at}.std", SPREAD, why)


def refuse(run: Run, what: str) -> None:
    """Raises UserError where ``run`` is a classifier, which makes nothing to ``what``."""
    if is_classifier(run.config):
        raise UserError(
            f"{run.name} is a classifier: it makes no samples, so there is nothing to {what}. It guides the samples of "
            f"another run on the same data: scorefield sample RUN classifier={run.name} class={run.classes[0]}."
        )
