"""The samplers of noise-conditional score networks: Langevin dynamics while the noise of the grid falls.

Both move x/α in units of σ/α, so that they run on every schedule; on VE, α = 1, they are the authors'. A step t → s
works at t; only levels with 0 < σ/α < ∞ count, and a first step from no signal (α_t = 0) is the bridge's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError
from ..registry import register
from .sde import bridge_step


def _levels(process: Any, solver: Any, times: Tensor) -> Tensor:
    """The σ/α > 0 of the grid, falling."""
    need(process, solver, "bridge", "log_ratio", "schedule")
    levels = (-process.log_ratio(times)).exp()
    return levels[(levels > 0) & torch.isfinite(levels)]


def _pulled(x: Tensor, belief: Any, alpha: Tensor, rate: Tensor | float) -> Tensor:
    """Toward the belief by ``rate`` of the way: in x/α this is a Langevin step of size rate · (σ/α)²."""
    return x + rate * (alpha * belief.mean - x)


@register("annealed-langevin", "solver")
@dataclass(frozen=True)
class AnnealedLangevin:
    """``steps`` moves x += a s(x) + √(2a) z at every level, a = ε (σ_i/σ_L)² with σ_L the last one, and the belief at
    the end (Song and Ermon 2019, algorithm 1, as in their code, where a is twice the paper's; 2020, algorithm 1).

    ``epsilon`` is that of the authors' configs (6.2e-6 for σ_L = 0.01); None takes the one of NCSNv2's technique 4 for
    levels between these ends, as many, spaced geometrically. It leaves more variance than the data have: about
    1/(1 − ε/2σ_L²) times the noise, even in equilibrium. levels · steps + 1 evaluations.

    Raises UserError for steps < 1 or an ε outside 0 < ε < 2 σ_L², beyond which every chain diverges.
    """

    steps: int = 5
    epsilon: float | None = None

    tabulates = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps at every noise level must be at least 1, got {self.steps}.")
        _positive(self.epsilon)

    def init(self, process: Any, times: Tensor) -> float:
        """The rate ε/σ_L², by which every move is pulled toward its belief."""
        levels = _levels(process, self, times)
        if len(levels) == 0:
            return 1.0
        if self.epsilon is None:
            return technique_4(_mean_gap(levels) ** -1, self.steps)
        last = levels[-1].item()
        if not self.epsilon < 2 * last**2:
            raise UserError(
                f"epsilon = {self.epsilon:g} diverges on this grid, whose last noise level is σ/α = {last:g}: "
                f"it must be below {2 * last**2:g}. Leave it out to have it chosen."
            )
        return self.epsilon / last**2

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: float, rng: Rng
    ) -> tuple[Tensor, float]:
        process = denoiser.process
        if torch.isneginf(process.log_ratio(t)):
            return bridge_step(process, x, denoiser(x, t), t, s, rng), memory
        alpha, sigma = process.schedule(t)
        for _ in range(self.steps):
            x = _pulled(x, denoiser(x, t), alpha, memory)
            x = x + math.sqrt(2 * memory) * sigma * rng.normal(x)
        if torch.isposinf(process.log_ratio(s)):
            return bridge_step(process, x, denoiser(x, t), t, s, rng), memory
        return process.schedule(s).alpha / alpha * x, memory


def _mean_gap(levels: Tensor) -> float:
    """σ_{i+1}/σ_i of as many levels with the same ends, spaced geometrically."""
    return (levels[-1] / levels[0]).item() ** (1 / max(len(levels) - 1, 1))


def carried(rate: Tensor, ratio: float, steps: int) -> Tensor:
    """The variance that ``steps`` moves with ε/σ_L² = ``rate`` leave of one level's on a point, in units of the next
    level's, γ = ``ratio`` times less: r = (1 − rate)^{2 steps} (γ² − c) + c, c = 2/(2 − rate) (Song and Ermon 2020,
    proposition 3)."""
    c = 2 / (2 - rate)
    return (1 - rate) ** (2 * steps) * (ratio**2 - c) + c


def technique_4(ratio: float, steps: int) -> float:
    """The rate ε/σ_L² at which ``carried`` is nearest to 1, for levels ``ratio`` = σ_{i−1}/σ_i apart and ``steps``
    moves at each (technique 4 of NCSNv2: Song and Ermon 2020, section 3.4)."""
    rate = torch.logspace(-6, 0, 60_001, dtype=torch.float64)
    return rate[(carried(rate, ratio, steps) - 1).abs().argmin()].item()


@register("consistent", "solver")
@dataclass(frozen=True)
class Consistent:
    """Consistent annealed sampling (Jolicoeur-Martineau et al. 2021, algorithm 2): x += η (x̂₀ − x), η = ε/σ_L², then as
    much noise as makes the level's σ_{i+1} if x₀ were known, β σ_{i+1} z with β² = 1 − ((1 − η)/γ)², γ = σ_{i+1}/σ_i;
    no noise at the last level, and the belief at the end.

    ``epsilon`` is that of the authors' configs (5.6e-6 for σ_L = 0.01); None takes η = 1 − γ² of the mean gap, DDPM's
    noise there, or 1 − γ of the widest where that is more. One evaluation a step and one more at the end; more steps
    are more levels, not moves of one level.
    Raises UserError for an ε with |1 − η| ≥ γ at some level, where no β exists, naming the ones allowed.
    """

    epsilon: float | None = None

    tabulates = True

    def __post_init__(self) -> None:
        _positive(self.epsilon)

    def init(self, process: Any, times: Tensor) -> float:
        """The rate η."""
        levels = _levels(process, self, times)
        if len(levels) < 2 and self.epsilon is None:
            return 1.0
        gamma = (levels[1:] / levels[:-1]).min().item() if len(levels) > 1 else 1.0
        if self.epsilon is None:
            return max(1 - _mean_gap(levels) ** 2, 1 - gamma)
        last = levels[-1].item() ** 2 if len(levels) else math.inf
        if not (1 - gamma) * last < self.epsilon < (1 + gamma) * last:
            raise UserError(
                f"epsilon = {self.epsilon:g} is inconsistent with this grid, whose noise falls to γ = {gamma:.4g} of "
                f"itself in one step: it must be between {(1 - gamma) * last:.5g} and {(1 + gamma) * last:.5g}. "
                "Leave it out to have it chosen."
            )
        return self.epsilon / last

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: float, rng: Rng
    ) -> tuple[Tensor, float]:
        process = denoiser.process
        start, end = process.log_ratio(t), process.log_ratio(s)
        if torch.isneginf(start):
            return bridge_step(process, x, denoiser(x, t), t, s, rng), memory
        (alpha, _), (a_s, s_s) = process.schedule(t), process.schedule(s)
        x = _pulled(x, denoiser(x, t), alpha, memory)
        if torch.isposinf(end):
            return bridge_step(process, x, denoiser(x, t), t, s, rng), memory
        beta2 = 1 - ((1 - memory) * (end - start).exp()) ** 2
        return a_s / alpha * x + s_s * beta2.clamp_min(0).sqrt() * rng.normal(x), memory


def _positive(epsilon: float | None) -> None:
    if epsilon is not None and not epsilon > 0:
        raise UserError(f"epsilon must be above 0, got {epsilon}. Leave it out to have it chosen from the grid.")
