"""Runge–Kutta on the probability-flow ODE of any process with a velocity. One class, a table per method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError, suggest
from ..registry import register

Field = Callable[[Tensor, Tensor], Tensor]

TABLES: dict[str, tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]] = {  # rows of a, weights b
    "euler": (((),), (1.0,)),
    "midpoint": (((), (1 / 2,)), (0.0, 1.0)),
    "heun": (((), (1.0,)), (1 / 2, 1 / 2)),
    "kutta3": (((), (1 / 2,), (-1.0, 2.0)), (1 / 6, 4 / 6, 1 / 6)),
    "rk4": (((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 2 / 6, 2 / 6, 1 / 6)),
}


def rk_step(field: Field, x: Tensor, t: Tensor, s: Tensor, method: str) -> Tensor:
    """One explicit Runge–Kutta step of dx/dt = field(x, t) from t to s, by the tableau ``TABLES[method]``."""
    rows, weights = TABLES[method]
    h = s - t
    slopes: list[Tensor] = []
    for row in rows:
        y = x
        for a, slope in zip(row, slopes, strict=False):
            y = y + (h * a) * slope if a else y
        slopes.append(field(y, t + sum(row) * h))
    for b, slope in zip(weights, slopes, strict=True):
        x = x + (h * b) * slope if b else x
    return x


class Clock(NamedTuple):
    """The variables of the ODE: (process, t) ↦ (position on the clock, factor y/x), and t of a position."""

    at: Callable[[Any, Tensor], tuple[Tensor, Tensor]]
    time: Callable[[Any, Tensor], Tensor]
    slope: Callable[[Any, Tensor, Any, Tensor, Tensor], Tensor]  # (process, x, belief, t, factor) ↦ dy/d(position)


def _noise_slope(process: Any, x: Tensor, belief: Any, t: Tensor, factor: Tensor) -> Tensor:
    """d(x/α)/d(σ/α) = ε̂ (Karras et al. 2022, eq. 3)."""
    alpha, sigma = process.schedule(t)
    return (x - alpha * belief.mean) / sigma


CLOCKS = {
    "t": Clock(
        lambda process, t: (t, torch.ones_like(t)),
        lambda process, u: u,
        lambda process, x, belief, t, factor: process.velocity(x, belief, t),
    ),
    "sigma": Clock(
        lambda process, t: ((-process.log_ratio(t)).exp(), 1 / process.schedule(t).alpha),
        lambda process, u: process.time(-u.log()),
        _noise_slope,
    ),
}


@register("runge-kutta", "solver")
@dataclass(frozen=True)
class RungeKutta:
    """``method`` is a key of ``TABLES``; ``clock`` t is that of the process, sigma integrates x/α over σ/α as Karras et
    al. 2022 do on every schedule (the two are one on theirs, where ``heun`` is their algorithm 1).

    A step to clean data (σ = 0), where there is no velocity, is DDIM's: EDM's last Euler step; so is, in the clock
    sigma, a step from no signal (α = 0). Raises UserError for an unknown method or clock.
    """

    method: str = "heun"
    clock: str = "t"

    tabulates = True

    def __post_init__(self) -> None:
        for name, known, value in (("Runge–Kutta method", TABLES, self.method), ("clock", CLOCKS, self.clock)):
            if value not in known:
                raise UserError(f"no {name} is called {value!r}.{suggest(value, known)}")

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "velocity", "log_ratio", "reverse", *["time", "schedule"] * (self.clock == "sigma"))

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process, clock = denoiser.process, CLOCKS[self.clock]
        (start, first), (end, last) = clock.at(process, t), clock.at(process, s)
        if torch.isposinf(process.log_ratio(s)) or not torch.isfinite(start):
            return process.reverse(x, denoiser(x, t), t, s, rng, eta=0.0), None

        def field(y: Tensor, position: Tensor) -> Tensor:
            u = t if position == start else s if position == end else clock.time(process, position)
            factor = clock.at(process, u)[1]
            state = y / factor
            return clock.slope(process, state, denoiser(state, u), u, factor)

        return rk_step(field, x * first, start, end, self.method) / last, None
