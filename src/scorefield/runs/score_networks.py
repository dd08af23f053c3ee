"""What two kinds of network need beside their prediction: ``predict=ncsn`` (and ``times=levels``) the five techniques
of NCSNv2 (Song and Ermon 2020) on the data at hand, ``predict=energy`` a training that differentiates twice."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from scorefield.errors import UserError
from scorefield.noise.levels import largest_distance, levels_between, spacing
from scorefield.runs.draft import Draft
from scorefield.training.ema import width_of_decay

LOWEST = 0.01  # the last level in units of the range of the data: NCSN's for pixels in [0, 1]
DECAY = 0.999  # of the average of the weights, a step
SOLVER, GRID = "annealed-langevin", "log-snr"
TIMES: dict[str | None, dict[str, Any]] = {"ncsn": {"type": "levels"}}  # of a prediction that has its own
DENOISERS = {"energy": {"type": "energy", "form": "dot"}}  # what a network makes, where that is no prediction


def levels(numbers: Tensor) -> dict[str, Any]:
    """The noise levels for encoded examples (N, *D): the first by technique 1, their ratio by technique 2."""
    top, low = round(largest_distance(numbers), 4), round(LOWEST * (numbers.max() - numbers.min()).item(), 6)
    if not 0 < low < top:
        raise UserError("times=levels takes its noise levels from how far examples lie apart, but these are all equal.")
    count = levels_between(top, low, spacing(math.prod(numbers.shape[1:])))
    return {"top": top, "low": low, "count": count}


def rewrite(draft: Draft) -> None:
    """Settle what the rest of the plan has to know of them. Raises UserError for options that do not go with them."""
    _levels(draft)
    if draft.config["denoiser"]["type"] == "energy":
        _twice(draft)


def _twice(draft: Draft) -> None:
    for name in ("compile", "recompute"):
        if draft.chosen(name):
            raise UserError(f"{name}=yes does not go with predict=energy, whose network is differentiated twice.")
        draft.value(f"train.{name}", False, "chosen: an energy is differentiated twice")


def _levels(draft: Draft) -> None:
    """Where training has levels, begin at the first, walk over all of them by annealed Langevin dynamics (technique 4)
    and average as technique 5 says. Technique 3 is the prediction."""
    times = draft.config["objective"].get("times", {})
    law = times.get("times", times)
    if law.get("type") != "levels":
        return
    if draft.config["process"]["schedule"]["type"] != "edm":
        raise UserError(
            f"schedule={draft.chosen('schedule')} has its own noise levels, but times=levels, which predict=ncsn "
            "has, takes them from the data. Leave schedule out, or choose other times."
        )
    draft.value("process.schedule.sigma_max", law["top"], "chosen: the largest distance between examples (NCSNv2)")
    grid = {"type": GRID, "sigma_min": law["low"], "sigma_max": law["top"]}
    why = "chosen: every level of training, with the step of NCSNv2's technique 4"
    draft.section("sample", {"steps": law["count"], "solver": SOLVER, "grid": grid}, why)
    train = draft.config["train"]
    if draft.chosen("ema") is None and train["steps"]:
        why = f"chosen: as long as NCSNv2's average of decay {DECAY}, or as ours can be"
        draft.value("train.ema", [width_of_decay(DECAY, train["steps"])], why)
