"""Guidance along the gradient of a likelihood that is asked about x̂₀: DPS and SDA. Denoiser → denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import like
from ..errors import UserError
from ..guidance.tilted import View, differentiable, view
from .conditioned import Conditioned
from .requirements import require, std_of

LIMIT = 5.0


def follow(seen: View, log_likelihood: Callable[[Tensor], Tensor], limit: float, through: bool = True) -> Moments:
    """x̂₀ + u (σ²/α) ∇_{x_t} ℓ(x̂₀), ℓ (B, *D) → (B,): Bayes' rule with u = 1, where p(y | x_t) is taken for ℓ(x̂₀).

    Where the noise of y is small against what x₀ may still be, that goes c > 1 times beyond the place where ℓ is
    greatest on the line, and explicit solvers explode. So u = 1/(1 + c/L), example by example: never more than L times
    the way, L falling from ``limit`` at high noise to 1 at low, L = 1 + (limit − 1) s²/(1 + s²), s = σ/α, for data of
    deviation about 1. (u = 1/(1 + c) is the implicit step, and MMPS for a measurement of one number.) c is found by a
    secant, without another evaluation, and exact for Gaussian noise and linear operators. ``limit`` ∞ is u = 1. Without
    ``through`` the gradient does not pass the network: (σ²/α²) ∇ℓ at x̂₀.
    """
    slope, level2 = _gradient(log_likelihood, seen.mean), seen.level**2
    shift = seen.gain * seen.pull(seen.mean, slope) if through else like(level2, slope) * slope
    if limit == math.inf:
        return seen.settled(shift)
    rise = _inner(slope, shift)
    bend = rise - _inner(_gradient(log_likelihood, seen.mean + shift), shift)
    beyond = torch.where((rise > 0) & (bend > 0), bend / torch.where(rise > 0, rise, 1.0), 0.0)
    level2 = level2.to(beyond)
    share = 1 / (1 + beyond / (1 + (limit - 1) * level2 / (1 + level2)))
    return seen.settled(like(share, shift) * shift)


def _gradient(log_likelihood: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """∇ℓ at x̂₀, without the network."""
    at = at.detach().requires_grad_()
    return torch.autograd.grad(log_likelihood(at).sum(), at)[0]


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """(B, *D) → (B,)."""
    return (a * b).flatten(1).sum(1)


def check_limit(limit: float) -> None:
    """Raises UserError below 1, where guidance would never reach y."""
    if not limit >= 1:
        raise UserError(f"limit must be at least 1 (the way to y), or infinite for no limit, got {limit}.")


@dataclass(frozen=True, eq=False)
class DPS(Conditioned):
    """Diffusion posterior sampling in its likelihood form: p(y | x_t) ≈ p(y | x̂₀) (Chung et al. 2023, eq. 10; the step
    that they publish, ζ∇‖y − A x̂₀‖, is ``Published``).

    **Heuristic**: what x₀ may still be is left out, so samples vary too little on Gaussian priors (trace .7); masses of
    modes come out better than from methods that are exact there. Any noise and any differentiable operator; one
    evaluation, with gradient. ``limit`` keeps small noise of y from exploding (see ``follow``), ∞ is the plain formula.
    Raises UserError for exact measurements and operators without gradient.
    """

    limit: float = LIMIT

    def __post_init__(self) -> None:
        check_limit(self.limit)
        require(self.measurement, self, "differentiable", "noise > 0")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            return follow(seen, self.measurement.log_likelihood, self.limit)


@dataclass(frozen=True, eq=False)
class SDA(Conditioned):
    """Score-based data assimilation: p(y | x_t) ≈ N(y; A x̂₀, std² I + γ (σ²/α²) I) (Rozet and Louppe 2023, eq. 13–15,
    Γ = γ I).

    **Heuristic**: ``gamma`` stands for the spread of x₀ that ``MMPS`` computes; the authors take 0.01, or 0.03 for
    Lorenz' system. Any differentiable operator; one evaluation, with gradient through the network, or, with ``detach``,
    only through the operator (cheaper and rougher). ``limit`` as in ``DPS``. Corrections help: walk with
    ``PredictorCorrector``. Raises UserError for γ ≤ 0, noise that is not Gaussian, operators without gradient.
    """

    gamma: float = 1e-2
    limit: float = LIMIT
    detach: bool = False

    def __post_init__(self) -> None:
        check_limit(self.limit)
        require(self.measurement, self, "differentiable", "gaussian noise")
        if not self.gamma > 0:
            raise UserError(f"SDA needs gamma > 0, got {self.gamma}. Without it, it is DPS.")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            var = std_of(self.measurement) ** 2 + self.gamma * seen.level.to(x.device) ** 2

            def log_likelihood(mean: Tensor) -> Tensor:
                return -0.5 * self.measurement.residual(mean).square().flatten(1).sum(1) / var.to(mean)

            return follow(seen, log_likelihood, self.limit, through=not self.detach)
