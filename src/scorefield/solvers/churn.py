"""Solver → solver: noise is added before a step (EDM), or a stretch of the way is walked again (restart)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, Solver, as_time, need
from ..errors import UserError
from ..registry import register
from .runge_kutta import RungeKutta


class Churned(NamedTuple):
    """By how much σ/α grows before a step, and the memory of the solver inside."""

    growth: float
    inner: Any


@register("churn", "solver")
@dataclass(frozen=True)
class Churn:
    """EDM's stochastic sampler (Karras et al. 2022, algorithm 2) around any solver without a memory: before a step at
    ``low`` ≤ σ/α ≤ ``high``, σ/α is raised by 1 + min(churn/steps, √2 − 1) with noise of deviation ``noise``.

    The belief is asked at the raised level. The noise never rises above that of t = 1. Raises UserError for churn < 0,
    noise < 0 or an empty interval.
    """

    inner: Solver = RungeKutta("heun", clock="sigma")
    churn: float = 40.0
    low: float = 0.05
    high: float = 50.0
    noise: float = 1.003

    def __post_init__(self) -> None:
        if not (self.churn >= 0 and self.noise >= 0 and 0 <= self.low < self.high):
            raise UserError(f"churn needs churn ≥ 0, noise ≥ 0 and 0 ≤ low < high (σ/α), got {self}.")

    @property
    def tabulates(self) -> bool:
        """As the solver inside."""
        return self.inner.tabulates

    def init(self, process: Any, times: Tensor) -> Churned:
        need(process, self, "log_ratio", "time", "schedule")
        return Churned(min(self.churn / (len(times) - 1), math.sqrt(2) - 1), self.inner.init(process, times))

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Churned, rng: Rng
    ) -> tuple[Tensor, Churned]:
        process = denoiser.process
        level = process.log_ratio(t)
        up = process.time(level - math.log1p(memory.growth)) if torch.isfinite(level) else t
        if memory.growth > 0 and up > t and self.low <= (-level).exp() <= self.high:
            x, t = _raised(process, x, t, up, rng, self.noise), up
        x, inner = self.inner.step(denoiser, x, t, s, memory.inner, rng)
        return x, Churned(memory.growth, inner)


@register("restart", "solver")
@dataclass(frozen=True)
class Restart:
    """Restart sampling (Xu et al. 2023, algorithm 1) around a solver: when a step crosses σ/α = ``low``, the noise is
    raised to ``high`` and walked down again in ``steps`` steps, ``rounds`` times over.

    The way down is log-uniform in σ/α and ends where the step that crossed ``low`` ended. On times of which
    none lies between clean data and ``low`` nothing is walked again. Raises UserError for an empty interval or numbers
    below 1.
    """

    inner: Solver = RungeKutta("heun", clock="sigma")
    low: float = 0.1
    high: float = 1.0
    steps: int = 4
    rounds: int = 2

    def __post_init__(self) -> None:
        if not (0 < self.low < self.high and self.steps >= 1 and self.rounds >= 1):
            raise UserError(f"restart needs 0 < low < high (σ/α), steps ≥ 1 and rounds ≥ 1, got {self}.")

    @property
    def tabulates(self) -> bool:
        """As the solver inside."""
        return self.inner.tabulates

    def init(self, process: Any, times: Tensor) -> Any:
        need(process, self, "log_ratio", "time", "schedule")
        return self.inner.init(process, times)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Any, rng: Rng) -> tuple[Tensor, Any]:
        process = denoiser.process
        x, memory = self.inner.step(denoiser, x, t, s, memory, rng)
        top, bottom, before = math.log(self.high), -process.log_ratio(s).item(), -process.log_ratio(t).item()
        if not (before > math.log(self.low) >= bottom > -math.inf):
            return x, memory
        levels = torch.linspace(top, bottom, self.steps + 1, dtype=torch.float64)
        way = torch.cat([process.time(-levels[:-1]), as_time([s.item()])])
        for _ in range(self.rounds):
            x = _raised(process, x, s, way[0], rng, 1.0)
            again = self.inner.init(process, way)
            for u, v in pairwise(way.unbind()):
                x, again = self.inner.step(denoiser, x, u, v, again, rng)
        return x, self.inner.init(process, way)


def _raised(process: Any, x: Tensor, t: Tensor, up: Tensor, rng: Rng, noise: float) -> Tensor:
    """x at the higher noise of ``up``: x/α plus noise that makes up the difference of σ²/α²."""
    (a_t, s_t), (a_up, s_up) = process.schedule(t), process.schedule(up)
    ratio = a_up / a_t
    return ratio * x + noise * (s_up**2 - (ratio * s_t) ** 2).clamp_min(0).sqrt() * rng.normal(x)
