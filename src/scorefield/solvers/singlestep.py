"""Exponential Runge–Kutta: every step starts afresh and evaluates inside itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError, suggest
from ..registry import register
from .exponential import SPACES
from .weights import RULES, aim_weights

# Stages: how far into the step (in λ), and which earlier evaluations it is reached by; the last line makes the step.
STAGES: dict[int, tuple[tuple[float, tuple[int, ...]], ...]] = {
    1: ((1.0, (0,)),),
    2: ((1 / 2, (0,)), (1.0, (0, 1))),
    3: ((1 / 3, (0,)), (2 / 3, (0, 1)), (1.0, (0, 2))),
}


@register("single-step", "solver")
@dataclass(frozen=True)
class SingleStep:
    """DPM-Solver-1, 2, 3 (``space`` eps: Lu et al. 2022a, algorithms 1 and 2) and DPM-Solver++(1S, 2S, 3S) (``space``
    x0: Lu et al. 2022b, algorithm 1): ``order`` evaluations a step, at λ a half, or a third and two thirds, into it.

    ``weights`` "bh2" is the papers' short cut for order 2 (the middle alone counts); "exact" integrates the line.
    A step to clean data or from no signal (σ = 0 or α = 0) is DDIM's. Raises UserError for other values.
    """

    order: int = 2
    space: str = "x0"
    weights: str = "exact"

    tabulates = True

    def __post_init__(self) -> None:
        if self.order not in STAGES:
            raise UserError(f"order must be 1, 2 or 3, got {self.order}.")
        for name, known in (("space", ("x0", "eps")), ("weights", RULES)):
            if getattr(self, name) not in known:
                raise UserError(f"no {name} is called {getattr(self, name)!r}.{suggest(getattr(self, name), known)}")
        if self.order != 2 and self.weights != "exact":
            raise UserError(
                f"weights={self.weights!r} is a short cut of order 2; order {self.order} has exact weights."
            )

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "reverse", "log_ratio", "schedule", "time")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, space = denoiser.process, SPACES[self.space]
        start, end = process.log_ratio(t), process.log_ratio(s)
        if not torch.isfinite(end - start):
            return process.reverse(x, denoiser(x, t), t, s, rng, eta=0.0), None
        alpha, sigma = process.schedule(t)
        here, at, y, rate = t, [start], x, {"x0": 1.0, "eps": -1.0}[self.space]
        values = [space.of(denoiser(x, t).mean, x, alpha, sigma)]
        for share, used in STAGES[self.order]:
            there = start + share * (end - start)
            weights = aim_weights([at[i] for i in used], start, there, rate, self.weights)
            aim = sum((w * values[i] for w, i in zip(weights[1:], used[1:], strict=True)), weights[0] * values[used[0]])
            here = s if share == 1 else process.time(there)
            keep, gain = space.step(alpha, sigma, *process.schedule(here))
            y = keep * x + gain * aim
            if share < 1:
                at.append(there)
                values.append(space.of(denoiser(y, here).mean, y, *process.schedule(here)))
        return y, None
