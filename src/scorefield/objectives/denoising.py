"""The objective that works everywhere: destroy, believe, compare."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng
from ..errors import UserError
from ..registry import register
from .times import LogNormal, Stratified, TimeLaw
from .weights import Weight


class Look(NamedTuple):
    """x_t (B, *D) at t (B,), and what the loss there is multiplied with (B,)."""

    x: Tensor
    t: Tensor
    correction: Tensor


@register("denoising", "objective")
@dataclass(frozen=True)
class Denoising:
    """w(t) · ‖x̂₀(x_t) − x₀‖² / D with t from ``times`` (Vincent 2011; Ho et al. 2020, eq. 14, with x̂₀ for ε̂).

    ``weight`` None is the process's own. ``label_dropout`` of the examples lose their ``label`` (B,), which becomes −1,
    and their ``condition`` (B, V), which becomes NaN, so that one network also learns the unconditional score (Ho and
    Salimans 2022, algorithm 1). Where there is more than one number or class to know, as many again lose each with
    probability ½, so that it also learns to do with a part of them.
    Raises UserError when label_dropout is outside [0, 1].
    """

    times: TimeLaw = field(default_factory=lambda: Stratified(LogNormal()))
    weight: Weight | None = None
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_dropout(self.label_dropout)

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,), a mean over dimensions so as not to grow with them."""
        process = denoiser.process
        t, correction = self._drawn(process, x0, rng)
        cond = forgetful(cond, self.label_dropout, rng)
        look = Look(process.corrupt(x0, t, rng), t, correction)
        return self.judged(process, look, x0, denoiser(look.x, t, **cond))

    def look(self, process: Any, x0: Tensor, rng: Rng) -> Look:
        """Where the belief is asked for."""
        t, correction = self._drawn(process, x0, rng)
        return Look(process.corrupt(x0, t, rng), t, correction)

    def _drawn(self, process: Any, x0: Tensor, rng: Rng) -> tuple[Tensor, ...]:
        like_times = torch.empty(len(x0), dtype=torch.float64)
        return rng.over_batch(lambda u: self.times(u, process), like_times)  # strata are the whole batch's

    def judged(self, process: Any, look: Look, x0: Tensor, belief: Any) -> Tensor:
        """The loss of each belief about x0 at ``look``, (B,)."""
        weight = process.weight(look.t) if self.weight is None else self.weight(process, look.t)
        error = belief.error(x0)
        return (weight * look.correction).to(error) * error / max(1, math.prod(x0.shape[1:]))


def one_look(objective: Any, denoiser: Denoiser, x0: Tensor, rng: Rng, cond: dict[str, Any]) -> Tensor:
    """The loss of each example, (B,), by the ``look``, ``judged`` and ``label_dropout`` of the objective."""
    look = objective.look(denoiser.process, x0, rng)
    cond = forgetful(cond, objective.label_dropout, rng)
    return objective.judged(denoiser.process, look, x0, denoiser(look.x, look.t, **cond))


def check_dropout(share: float) -> None:
    """Raise UserError unless ``share`` is one."""
    if not 0 <= share <= 1:
        raise UserError(f"label_dropout must be between 0 and 1, got {share}.")


NULL = {"label": -1, "condition": math.nan}


def forgetful(cond: dict[str, Any], share: float, rng: Rng) -> dict[str, Any]:
    """``cond`` with what some examples know taken away; each column of a condition is a piece of its own."""
    known = {name: cond[name].reshape(len(cond[name]), -1) for name in NULL if name in cond}
    if not known or not share:
        return cond
    widths = [values.shape[1] for values in known.values()]
    fate = rng.uniform(torch.empty(len(next(iter(known.values())))))
    lost = (fate < share)[:, None].expand(-1, sum(widths))
    if sum(widths) > 1:
        coins = rng.uniform(torch.empty(len(fate), sum(widths))) < 0.5
        lost = lost | coins & (fate < 2 * share)[:, None]
    gone = zip(known.items(), lost.split(widths, 1), strict=True)
    return cond | {
        name: values.masked_fill(which.to(values.device), NULL[name]).reshape(cond[name].shape)
        for (name, values), which in gone
    }
