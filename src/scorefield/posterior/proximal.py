"""Plug and play: the model's guess is brought near y, and walks on (DiffPIR); or a picture is optimised (RED-diff)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..guidance.tilted import differentiable
from ..operators import Measurement
from .requirements import require
from .rotated import Rotated


@dataclass(frozen=True, eq=False)
class DiffPIR:
    """Half quadratic splitting inside a sampler (Zhu et al. 2023, algorithm 1): x̂_y = argmin ‖y − A z‖² + ρ ‖z − x̂‖²
    with ρ = λ std² α²/σ², then x_s = α_s x̂_y + σ_s (√(1 − ζ) ε̂ + √ζ z), ε̂ = (x − α x̂_y)/σ. **Heuristic**.

    ``weight`` λ > 0 (1; their grid is 2 to 12); ``zeta`` ζ in [0, 1], 1 draws all noise anew. The minimum is in closed
    form by the spectrum of A.
    """

    measurement: Measurement
    weight: float = 1.0
    zeta: float = 1.0

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "spectrum", "gaussian noise")
        if not (self.weight > 0 and 0 <= self.zeta <= 1):
            raise UserError(f"DiffPIR needs weight > 0 and zeta in [0, 1], got {self.weight} and {self.zeta}.")

    @cached_property
    def _rotated(self) -> Rotated:
        return Rotated(self.measurement)

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "scales")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process = denoiser.process
        (a_t, s_t), (a_s, s_s) = process.scales(t, x), process.scales(s, x)
        mean = denoiser(x, t).mean
        if a_t > 0:
            mean = self._rotated.mended(mean, (s_t / a_t) ** 2 / self.weight)
        there = a_s * mean + s_s * (1 - self.zeta) ** 0.5 * (x - a_t * mean) / s_t
        return there + s_s * self.zeta**0.5 * rng.normal(x), None


class Ascent(NamedTuple):
    """The memory of ``RedDiff``: the picture, and Adam's two averages and count."""

    picture: Tensor | None = None
    first: Tensor | float = 0.0
    second: Tensor | float = 0.0
    count: int = 0


@dataclass(frozen=True, eq=False)
class RedDiff:
    """RED-diff (Mardani et al. 2024, algorithm 1): one picture μ follows Adam down ½‖y − A(μ)‖² + w ς (ε̂ − ε)·μ, ε̂
    the model's noise in x_t = α μ + σ ε, ς = σ/α, as t falls. **Heuristic**: it seeks one mode (MAP-like), so the
    spread of its results says nothing of the posterior's.

    ``weight`` w = 0.25 and ``rate`` 0.1 are the authors'. It begins from the first state. Needs an operator that can be
    differentiated; the noise of y does not enter.
    """

    measurement: Measurement
    weight: float = 0.25
    rate: float = 0.1

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "differentiable")
        if not (self.weight >= 0 and self.rate > 0):
            raise UserError(f"RedDiff needs weight ≥ 0 and rate > 0, got {self.weight} and {self.rate}.")

    def init(self, process: Any, times: Tensor) -> Ascent:
        need(process, self, "scales")
        return Ascent()

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Ascent, rng: Rng) -> tuple[Tensor, Any]:
        process = denoiser.process
        alpha, sigma = process.scales(t, x)
        picture = x / sigma if memory.picture is None else memory.picture
        noise = rng.normal(x)
        noisy = alpha * picture + sigma * noise
        error = (noisy - alpha * denoiser(noisy, t).mean) / sigma - noise
        with differentiable():
            leaf = picture.detach().requires_grad_()
            misfit = 0.5 * self.measurement.residual(leaf).flatten(1).square().sum(1)
            (slope,) = torch.autograd.grad(misfit.sum(), leaf)
        level = sigma / alpha if alpha > 0 else 0 * sigma
        slope, n = slope + self.weight * level * error, memory.count + 1
        first, second = 0.9 * memory.first + 0.1 * slope, 0.99 * memory.second + 0.01 * slope.square()
        step = (first / (1 - 0.9**n)) / ((second / (1 - 0.99**n)).sqrt() + 1e-8)
        picture = picture - self.rate * step
        a_s, s_s = process.scales(s, x)
        return a_s * picture + s_s * noise, Ascent(picture, first, second, n)
