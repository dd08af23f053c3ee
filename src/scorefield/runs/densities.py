"""Plans for likelihood: variances that are learned (Improved DDPM), a schedule that is learned (VDM), and levels that
are spread over their bins by a law that is learned (ScoreFlow). Each rewrites the sections of an ordinary run.
"""

from __future__ import annotations

import math
from typing import Any

from scorefield.core import as_time
from scorefield.data import Dataset, Pixels
from scorefield.data.levels import levels_of
from scorefield.errors import UserError
from scorefield.runs import build
from scorefield.runs.draft import Draft

LEARNED, VARIATIONAL, UNIFORM, NO = "learned", "variational", "uniform", "no"
LIKELIHOOD = "likelihood"
STEPS = 1000  # of a run with learned variances
HIGH = 5.0  # γ₁ at first, VDM's
UNITS = 64  # of the monotone network that γ is
REAL_LEAST = 2e-3  # σ/α where data have no levels
COUPLINGS = {"type": "couplings", "width": 32, "count": 4}
SPACED = {"steps": 100, "solver": "ancestral", "grid": {"type": "uniform"}}


def asked(draft: Draft) -> str | None:
    """Which of them the options ask for. Raises UserError for two at once, and for options that none of them has."""
    wanted = {
        "schedule": draft.chosen("schedule") == LEARNED,
        "variance": draft.chosen("variance") == LEARNED,
        "dequantise": _spread(draft) in (UNIFORM, VARIATIONAL),
    }
    names = [name for name, on in wanted.items() if on]
    if len(names) > 1:
        given = " and ".join(f"{name}={draft.chosen(name) or VARIATIONAL}" for name in names)
        raise UserError(f"{given} are different ways to train for likelihood. Leave one of them out.")
    return names[0] if names else None


def _spread(draft: Draft) -> str | None:
    """How levels are dequantised: variationally, where nobody said and likelihood is what is weighted by."""
    word = draft.options.get("dequantise")
    if word not in (None, "auto"):
        return str(word)
    elsewhere = LEARNED in (draft.chosen("schedule"), draft.chosen("variance"))
    images = draft.config.get("codec", {"type": "pixels"})["type"] == "pixels"
    return VARIATIONAL if draft.chosen("weight") == LIKELIHOOD and images and not elsewhere else None


def codec_for(draft: Draft, dataset: Dataset) -> Pixels | None:
    """The codec of images whose levels count: of those that there are. None where another will do."""
    name = asked(draft)
    if draft.options.get("classifier"):
        if name is not None:
            raise UserError(f"classifier=yes tells classes apart and has no likelihood of data. Leave {name} out.")
        return None
    if dataset.kind != "images" or (name is None and draft.chosen("weight") != LIKELIHOOD):
        return None
    levels = levels_of(dataset)
    return Pixels(*levels) if levels.count < 256 else Pixels()


def rewrite(draft: Draft, dataset: Dataset) -> None:
    """Settle what a plan for likelihood differs in. Raises UserError for options that do not go together."""
    name = asked(draft)
    if name is not None:
        REWRITTEN[name](draft, dataset)
    elif draft.chosen("weight") == LIKELIHOOD and draft.chosen("times") is None:
        _importance(draft, _least(draft))


def _least(draft: Draft) -> float:
    """σ/α of a third of half a bin (Kingma et al. 2021: γ₀ = −13.3 at 256 levels), below which levels are known."""
    codec = draft.config["codec"]
    return 1 / (3 * codec.get("levels", 256)) if codec["type"] == "pixels" else REAL_LEAST


def _importance(draft: Draft, least: float) -> None:
    """Times uniform in log σ/α, from noise of ``least``."""
    low = float(build.process(draft.config).time(as_time(-math.log(least))))
    law = {"type": "stratified", "times": {"type": "importance", "low": float(f"{max(low, 1e-9):.4g}")}}
    draft.drop("objective.times")
    draft.section("objective.times", law, f"chosen: goes with weight=likelihood, from σ/α = {least:.2g}")


def _variance(draft: Draft, dataset: Dataset) -> None:
    _refuse(draft, "times", "variance=learned", "draws steps, each as often or by its loss")
    net = draft.config["net"]
    if net["type"] not in ("unet", "dit", "edm2") or dataset.kind not in ("images", "signals"):
        raise UserError(
            f"variance=learned needs a network with twice the channels (unet, dit, edm2) on images or signals, but "
            f"{dataset.name} holds {dataset.kind} and the network is {net['type']}. Leave variance out."
        )
    said = draft.origin("variance", "")
    steps = draft.options.get("process.schedule.steps") or STEPS
    if draft.chosen("schedule") is None:
        why = "chosen: Improved DDPM's (Nichol and Dhariwal 2021)"
        draft.section("process.schedule", {"type": "ddpm", "betas": "cosine", "steps": steps}, why)
    draft.value("denoiser.type", "learned-variance", said)
    draft.value("denoiser.steps", steps, "chosen: those of the schedule")
    if draft.chosen("predict") is None:
        draft.value("denoiser.predict", "v", "chosen: eps divides by α, of which cosine leaves next to nothing")
    draft.value("net.out_channels", 2 * net["in_channels"], "chosen: a variance for each channel")
    draft.section("sample", dict(SPACED), "chosen: every tenth of a thousand steps, with the variance that was learned")
    dropout, weight = draft.config["objective"]["label_dropout"], draft.chosen("weight") or "simple"
    draft.drop("objective")
    if weight == LIKELIHOOD:
        inner = {"type": "vlb", "steps": steps, "label_dropout": dropout, "decoder": _decoder(draft, "levels")}
        section = {"type": "by-history", "bins": steps, "inner": inner}
        draft.section("objective", section, "chosen: goes with variance=learned weight=likelihood (L_vlb)")
        return
    section = {"type": "hybrid", "steps": steps, "vlb": steps / 1000, "weight": {"type": weight}}
    if weight == "edm":
        section["weight"] |= {"sigma_data": draft.config["denoiser"]["sigma_data"]}
    draft.section("objective", section | {"label_dropout": dropout}, "chosen: goes with variance=learned")


def _decoder(draft: Draft, name: str) -> dict[str, Any]:
    codec = draft.config["codec"]
    return {"type": name, "levels": codec.get("levels", 256)} if codec["type"] == "pixels" else {"type": "real"}


def _schedule(draft: Draft, dataset: Dataset) -> None:
    for name in ("weight", "times"):
        _refuse(draft, name, "schedule=learned", "learns which times count, and the bound is its only weight")
    levels = draft.config["codec"]["type"] == "pixels"
    least = round(2 * math.log(_least(draft)), 4)
    section = {"type": "learned", "low": least, "high": HIGH, "units": UNITS, "ends": levels}
    draft.section("process.schedule", section, draft.origin("schedule", ""))
    dropout = draft.config["objective"]["label_dropout"]
    draft.drop("objective")
    decoder = {"decoder": _decoder(draft, "softmax")} if levels else {}
    section = {"type": "vdm", "label_dropout": dropout} | decoder
    draft.section("objective", section, "chosen: goes with schedule=learned (Kingma et al. 2021)")
    if draft.config["net"]["type"] == "unet" and levels:
        spacing = 2 / (draft.config["codec"].get("levels", 256) - 1)
        why = "chosen: the levels, and every second of them"
        draft.value("net.waves", [round(0.5 / spacing, 4), round(1 / spacing, 4)], why)
        draft.value("net.scale", draft.config["denoiser"]["sigma_data"], "chosen: as the denoiser's")


def _dequantise(draft: Draft, dataset: Dataset) -> None:
    word, weight = _spread(draft), draft.chosen("weight")
    if draft.config["codec"]["type"] != "pixels":
        raise UserError(
            f"dequantise={word} spreads the levels of images over their bins, but {dataset.name} holds "
            f"{dataset.kind}. Leave dequantise out."
        )
    if draft.config["denoiser"]["type"] != "preconditioned":
        raise UserError(f"dequantise={word} does not go with predict={draft.chosen('predict')}. Leave one of them out.")
    if word == VARIATIONAL and weight not in (None, LIKELIHOOD):
        raise UserError(
            f"dequantise=variational learns a law from the bound, which weight={weight} is not. Write "
            "weight=likelihood, or dequantise=uniform."
        )
    said = draft.origin("dequantise", "chosen: goes with weight=likelihood")
    levels = draft.config["codec"].get("levels", 256)
    draft.value("denoiser.type", "dequantised", said)
    draft.value("denoiser.levels", levels, "chosen: those of the codec")
    if word == VARIATIONAL:
        draft.section("denoiser.dequantiser", COUPLINGS | {"channels": dataset.shape[0]}, said)
        draft.drop("objective.weight")
        draft.value("objective.weight.type", LIKELIHOOD, draft.origin("weight", "chosen: goes with dequantise"))
    draft.value("objective.type", "dequantised", said)
    if draft.config["objective"]["weight"]["type"] == LIKELIHOOD and draft.chosen("times") is None:
        _importance(draft, spread_least(levels))


def spread_least(levels: int) -> float:
    """σ/α of a sixteenth of a bin: below it a density of dequantised levels has no more to tell."""
    return 2 / (levels - 1) / 16


def _refuse(draft: Draft, name: str, by: str, why: str) -> None:
    if draft.chosen(name) is not None and (name, draft.chosen(name)) != ("weight", LIKELIHOOD):
        raise UserError(f"{by} {why}, so {name}={draft.chosen(name)} has no place. Leave {name} out.")


REWRITTEN = {"variance": _variance, "schedule": _schedule, "dequantise": _dequantise}
