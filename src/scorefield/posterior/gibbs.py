"""Take turns: guess a clean example from the noisy one, draw it again near y, add noise. DAPS and PnP-DM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, Solver, as_time, need
from ..errors import UserError, suggest
from ..guidance.tilted import differentiable
from ..operators import Measurement
from ..solvers import Exponential
from .requirements import require
from .rotated import Rotated


def cleaned(denoiser: Denoiser, x: Tensor, t: Tensor, solver: Solver, steps: int, rng: Rng) -> Tensor:
    """x₀ from x_t by ``steps`` steps of a solver, on EDM's levels between (Karras et al. 2022, eq. 5) down to 1 % of
    that of t, or 0.002."""
    process = denoiser.process
    top = (-process.log_ratio(t)).exp().clamp_max(1e4).item()
    low = min(0.002, 0.01 * top)
    way = (top ** (1 / 7) + torch.linspace(0, 1, steps, dtype=torch.float64) * (low ** (1 / 7) - top ** (1 / 7))) ** 7
    times = torch.cat([t[None], process.time(-way[1:].log()), as_time([0.0])])
    memory = solver.init(process, times)
    for u, v in pairwise(times.unbind()):
        x, memory = solver.step(denoiser, x, u, v, memory, rng)
    return x


@dataclass(frozen=True, eq=False)
class DAPS:
    """Decoupled annealing (Zhang et al. 2025, algorithm 1): x̂₀ by ``steps`` steps of the probability-flow ODE, x₀ from
    N(x̂₀, (σ/α)² I) p(y | x₀), then noise of the next level: x_s = α x₀ + σ z. **Heuristic**: x₀ | x_t is no such
    Gaussian.

    ``draw`` "exact" (linear operators with Gaussian noise) or "langevin", ``moves`` steps of ``size`` at most for any
    likelihood. The likelihood is the measurement's own: the authors' settings follow y 50 times more closely than its
    noise allows. The paper: 200 levels, σ/α from 100 to 0.1, 5 steps."""

    measurement: Measurement
    steps: int = 5
    draw: str = "exact"
    moves: int = 100
    size: float = 1e-4
    solver: Solver = Exponential(1)

    tabulates = False

    def __post_init__(self) -> None:
        if self.draw not in DRAWS:
            raise UserError(f"DAPS draws x₀ in one of two ways, not {self.draw!r}.{suggest(self.draw, DRAWS)}")
        if self.steps < 1 or self.moves < 1 or not self.size > 0:
            raise UserError(
                f"DAPS needs steps ≥ 1, moves ≥ 1 and size > 0, got {self.steps}, {self.moves}, {self.size}."
            )
        require(self.measurement, self, *DRAWS[self.draw][1])

    @cached_property
    def rotated(self) -> Rotated:
        """The measurement in the axes of its spectrum."""
        return Rotated(self.measurement)

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "scales", "log_ratio", "time")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process = denoiser.process
        if process.schedule(t).alpha == 0:
            clean = denoiser(x, t).mean
        else:
            guess = cleaned(denoiser, x, t, self.solver, self.steps, rng)
            clean = DRAWS[self.draw][0](self, guess, (-2 * process.log_ratio(t)).exp(), rng)
        a_s, s_s = process.scales(s, x)
        return a_s * clean + s_s * rng.normal(x), None


def _exact(method: DAPS, guess: Tensor, level2: Tensor, rng: Rng) -> Tensor:
    return method.rotated.drawn(guess, level2, rng.normal(guess))


def _langevin(method: DAPS, guess: Tensor, level2: Tensor, rng: Rng) -> Tensor:
    """Unadjusted Langevin from x̂₀; no step is longer than the Gaussian alone would stand."""
    x, size = guess, 1 / (1 / level2 + 1 / method.size)
    for _ in range(method.moves):
        with differentiable():
            leaf = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(method.measurement.log_likelihood(leaf).sum(), leaf)
        x = x + size * (slope + (guess - x) / level2) + (2 * size).sqrt() * rng.normal(x)
    return x


DRAWS: dict[str, tuple[Callable[[DAPS, Tensor, Tensor, Rng], Tensor], tuple[str, ...]]] = {
    "exact": (_exact, ("spectrum", "gaussian noise")),
    "langevin": (_langevin, ("differentiable", "noise > 0")),
}


@dataclass(frozen=True, eq=False)
class PnPDM:
    """Split Gibbs (Wu et al. 2024, PnP-DM, algorithm 1): x₀ ~ p(x₀ | z), where the model takes z for x₀ with noise ρ
    and ``solver`` walks the SDE back in ``steps`` steps; then z ~ N(x₀, ρ² I) p(y | z), exactly. ρ = σ/α falls along
    the times, and at the last but one it turns ``hold`` times. **Heuristic**: ρ → 0 in fine steps and many turns
    would be exact, but what one can afford is stuck in one mode.

    The paper: ρ = 10 · 0.9ⁱ to 0.3 and 100 turns. Needs a linear operator with a spectrum and Gaussian noise.
    """

    measurement: Measurement
    steps: int = 20
    hold: int = 1
    solver: Solver = Exponential(2, eta=1.0)

    tabulates = False

    def __post_init__(self) -> None:
        require(self.measurement, self, "spectrum", "gaussian noise")
        if self.steps < 1 or self.hold < 1:
            raise UserError(f"PnPDM needs steps ≥ 1 and hold ≥ 1, got {self.steps} and {self.hold}.")

    @cached_property
    def _rotated(self) -> Rotated:
        return Rotated(self.measurement)

    def init(self, process: Any, times: Tensor) -> None:
        need(process, self, "scales", "log_ratio", "time")

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: None, rng: Rng) -> tuple[Tensor, None]:
        process = denoiser.process
        clean = cleaned(denoiser, x, t, self.solver, self.steps, rng)
        if s > 0:
            return self._again(process, clean, s, rng), None
        for _ in range(self.hold - 1):
            clean = cleaned(denoiser, self._again(process, clean, t, rng), t, self.solver, self.steps, rng)
        return clean, None

    def _again(self, process: Any, clean: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """α z with z ~ N(x₀, ρ² I) p(y | z)."""
        alpha, sigma = process.schedule(t)
        return alpha * self._rotated.drawn(clean, (sigma / alpha) ** 2, rng.normal(clean))
