"""Runge–Kutta on the probability-flow ODE of any process with a velocity. One class, a table per method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Denoiser, Rng
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


@register("runge-kutta", "solver")
@dataclass(frozen=True)
class RungeKutta:
    """``method`` is a key of ``TABLES``. In the clock of the process: on the EDM schedule ``heun`` is algorithm 1 of
    Karras et al. 2022. A step to clean data (σ = 0), where there is no velocity, is DDIM's: EDM's last
    Euler step. Raises UserError for an unknown method."""

    method: str = "heun"

    def __post_init__(self) -> None:
        if self.method not in TABLES:
            raise UserError(f"no Runge–Kutta method is called {self.method!r}.{suggest(self.method, TABLES)}")

    def init(self) -> None:
        return None

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process = denoiser.process
        if torch.isposinf(process.log_ratio(s)):
            return process.reverse(x, denoiser(x, t), t, s, rng, eta=0.0), None
        return rk_step(lambda y, u: process.velocity(y, denoiser(y, u), u), x, t, s, self.method), None
