"""Guidance that asks about x_t itself, or moves x̂₀ onto y: cheap baselines without a gradient. Denoiser → denoiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import as_time, like, need
from ..errors import UserError
from ..guidance.tilted import NOISIEST, differentiable, view
from ..operators import pinv
from .conditioned import Conditioned
from .requirements import require, std_of
from .tangent import tangent


@dataclass(frozen=True, eq=False)
class Convolved(Conditioned):
    """The likelihood convolved with the noise of x_t: p(y | x_t) ≈ N(y; A x_t/α, std² I + s² A Aᵀ), s = σ/α (Adam et
    al. 2022, eq. 9).

    **Heuristic**: exact only where the prior is flat at scale s, so the worst of all at high noise; no gradient of the
    network. It takes fine steps. Above σ/α = 148 it says nothing. std may be 0. Raises UserError for operators that are
    not linear and noise that is not Gaussian.
    """

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear", "gaussian noise")
        need(self.inner.process, self, "log_ratio", "scales")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        with torch.no_grad():
            belief = self.inner(x, t, **cond)

        def shift(estimate: Tensor, level2: Tensor) -> Tensor:
            return like(level2, x) * self._solved(self.measurement.residual(estimate), level2)

        return belief.with_mean(belief.mean + heard(self.process, x, t, shift))


@dataclass(frozen=True, eq=False)
class ScoreALD(Conditioned):
    """The likelihood of x_t with an annealed noise: s² Aᵀ(y − A x_t/α)/(std² + γ² s²), s = σ/α (Jalal et al. 2021, eq.
    4, with γ_t = γ s).

    **Heuristic**: ``Convolved`` without the singular values, so any differentiable operator. Steps are stable where no
    singular value of A exceeds γ √2 or so. Above σ/α = 148 it says nothing. Raises UserError for γ ≤ 0, noise that is
    not Gaussian, operators without gradient.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        require(self.measurement, self, "differentiable", "gaussian noise")
        need(self.inner.process, self, "log_ratio", "scales")
        if not self.gamma > 0:
            raise UserError(f"ScoreALD needs gamma > 0, got {self.gamma}. Its steps are stable from 1 on.")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        with torch.no_grad():
            belief = self.inner(x, t, **cond)

        def shift(estimate: Tensor, level2: Tensor) -> Tensor:
            with differentiable():
                near = tangent(self.measurement.operator, estimate)
                pull = near.back(self.measurement.residual(estimate.detach()))
            return like(level2 / (std_of(self.measurement) ** 2 + self.gamma**2 * level2), x) * pull

        return belief.with_mean(belief.mean + heard(self.process, x, t, shift))


def heard(process: Any, x: Tensor, t: Tensor, shift: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``shift`` of (x_t/α, s²), and 0 for examples with s = σ/α above ``NOISIEST``, where x_t/α is nothing but
    noise."""
    alpha, sigma = process.schedule(as_time(t))
    low = sigma <= NOISIEST * alpha
    if not low.any():
        return torch.zeros_like(x)
    alpha = torch.where(low, alpha, 1.0)
    moved = shift(x / like(alpha, x), (sigma / alpha) ** 2)
    return moved if low.all() else torch.where(like(low, x).bool(), moved, 0.0)


@dataclass(frozen=True, eq=False)
class Steered(Conditioned):
    """x̂₀ moved onto y: x̂₀ + A⁺(y − A x̂₀) of linear operators, and of others x̂₀ − scale · σ ∇_{x_t} ½‖y − A x̂₀‖² (Nair
    et al. 2023, Steered Diffusion, eq. 8–11).

    **Heuristic**: follows the noise of y to the last digit, and decides modes by the prior alone. ``scale`` None takes
    the linear form, without gradient; the authors have 10 to 30,000 for networks. Their rounds of noising again are a
    solver's business (``Repaint``). Raises UserError for the linear form of operators that are not, and for scale ≤ 0.
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear" if self.scale is None else "differentiable")
        if self.scale is not None and not self.scale > 0:
            raise UserError(f"Steered needs scale > 0, or None for linear operators, got {self.scale}.")

    @cached_property
    def _inverse(self) -> Callable[[Tensor], Tensor]:
        return pinv(self.measurement.operator)

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        if self.scale is None:
            with torch.no_grad():
                belief = self.inner(x, t, **cond)
            return belief.with_mean(belief.mean + self._inverse(self.measurement.residual(belief.mean)))
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            loss = 0.5 * self.measurement.residual(seen.mean).square().flatten(1).sum(1)
            return seen.settled(-self.scale * like(seen.sigma, seen.x) * seen.pull(loss))
