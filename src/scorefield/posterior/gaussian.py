"""Guidance that takes p(x₀ | x_t) for a Gaussian around x̂₀: ΠGDM, MMPS, TMPD, optimal covariances. Denoiser → denoiser.

All are x̂₀ + (σ²/α) Jᵀ Aᵀ (A C Aᵀ + std² I)⁻¹ (y − A x̂₀), J = ∂x̂₀/∂x_t, and differ in the covariance C of x₀ given x_t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import like
from ..errors import UserError
from ..guidance.tilted import View, differentiable, view
from ..operators import cg
from .conditioned import Conditioned
from .requirements import require, std_of
from .spread import Spread
from .tangent import full_solve, projected_solve, tangent

CHEAP = 16  # numbers in y up to which MMPS pays a backward pass for each
DIRECTIONS = 5  # of y that it hears where there are more


@dataclass(frozen=True, eq=False)
class PiGDM(Conditioned):
    """ΠGDM: C = r² I, r² = v s²/(v + s²), s = σ/α, as if x₀ were normal with variance ``variance`` v in every direction
    (Song et al. 2023, eq. 7–8).

    **Exact for Gaussian priors of covariance v I**, with any linear measurement; otherwise heuristic: v is best the
    variance of the data. The weight is Bayes' (on exact measurements x̂₀ + Jᵀ A⁺(y − A x̂₀)/α); the much larger one of
    the authors' code is ``PublishedPiGDM``. std may be 0. One evaluation, with gradient. Raises UserError for v ≤ 0,
    operators that are not linear, noise that is not Gaussian.
    """

    variance: float = 1.0

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear", "gaussian noise")
        check_variance(self.variance)

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            level2 = seen.level**2
            spread = self.variance * level2 / (self.variance + level2)
            residual = self.measurement.residual(seen.mean.detach())
            return moved(seen, self._solved(residual, spread))


def moved(seen: View, weights: Tensor) -> Moments:
    """x̂₀ + (σ²/α) Jᵀ weights, weights (B, *D)."""
    return seen.settled(seen.gain * seen.pull(seen.mean, weights))


@dataclass(frozen=True, eq=False)
class MMPS(Conditioned):
    """Moment matching: C = (σ²/α) ∂x̂₀/∂x_t, the covariance that the denoiser itself implies (Rozet et al. 2024, eq.
    18–20; with all of C also the TMPD of Boys et al. 2023).

    **Exact for Gaussian priors** when the system is solved in full, which happens where y has at most 16 numbers
    (``iterations`` None): M backward passes an evaluation. Else as many directions of y as ``iterations`` says, 5 by
    default and one in the paper, are heard (``projected_solve``), each a backward pass: of a Gaussian prior these are
    conjugate gradients, exact with M of them. On priors of many modes the spread is right and the masses of the modes
    are not; ``smc`` mends that. An operator that is not linear is linearised at x̂₀. std may be 0.

    Networks have no symmetric Jacobian, so both take the symmetric and positive part of C. Raises UserError for
    iterations < 1, noise that is not Gaussian, operators without gradient.
    """

    iterations: int | None = None

    def __post_init__(self) -> None:
        require(self.measurement, self, "differentiable", "gaussian noise")
        if self.iterations is not None and self.iterations < 1:
            raise UserError(f"MMPS needs at least 1 iteration, or None to choose, got {self.iterations}.")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            mean = seen.mean.detach()
            near, residual = tangent(self.measurement.operator, mean), self.measurement.residual(mean)
            std, count = std_of(self.measurement), min(near.dim, self.iterations or DIRECTIONS)
            if self.iterations is None and near.dim <= CHEAP:
                return seen.settled(full_solve(seen, near, residual, std).shift)
            return seen.settled(projected_solve(seen, near, residual, std, count))


@dataclass(frozen=True, eq=False)
class TMPD(Conditioned):
    """Tweedie moment projection: the covariance of ``MMPS`` with the row sums of A C Aᵀ for a diagonal (Boys et al.
    2023, section 3.3), two backward passes for any measurement. Row sums may be far too small, so no step goes beyond
    where it is nearest to y.

    **Heuristic**: right when the rows are nearly independent of each other, as pixels are. With all of A C Aᵀ it would
    be ``MMPS`` solved in full. std may be 0. Raises UserError for noise that is not Gaussian and operators without
    gradient.
    """

    def __post_init__(self) -> None:
        require(self.measurement, self, "differentiable", "gaussian noise")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        std = std_of(self.measurement)
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            mean = seen.mean.detach()
            near, residual = tangent(self.measurement.operator, mean), self.measurement.residual(mean)
            ones, gain = near.back(torch.ones_like(residual)), seen.gain
            sums = near.forward(gain * seen.pull(seen.mean, ones, more=True))
            var = sums.clamp_min(0) + max(std**2, torch.finfo(sums.dtype).tiny ** 0.5)
            shift = gain * seen.pull(seen.mean, near.back(residual / var))
            return seen.settled(like(nearest(near.forward(shift), residual), shift) * shift)


@dataclass(frozen=True, eq=False)
class OptimalCovariance(Conditioned):
    """C = r_t² I with the mean squared error of the denoiser itself, r_t² = E‖x₀ − x̂₀‖²/D (Peng et al. 2024, section
    4.2), or C = diag(variance of the belief) where the model knows it (their section 4.1).

    **Exact for Gaussian priors of covariance c I**; otherwise heuristic: the spread comes out better than ΠGDM's, the
    masses of modes do not. ``spread`` is what ``spread_of(denoiser, data, rng)`` measures once; without it the inner
    denoiser must give variances (``law.denoiser(process, variance=True)``, or a network that learned them). std may
    be 0. One evaluation, with gradient. Raises UserError where it has neither, for operators that are not linear and
    noise that is not Gaussian.
    """

    spread: Spread | None = None

    def __post_init__(self) -> None:
        require(self.measurement, self, "linear", "gaussian noise")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        with differentiable():
            seen = view(self.inner, x, t, self, **cond)
            residual = self.measurement.residual(seen.mean.detach())
            if self.spread is not None:
                return moved(seen, self._solved(residual, self.spread(seen.level)))
            var = seen.settled().var
            if var is None:
                raise UserError(
                    "OptimalCovariance needs to know how uncertain the denoiser is, and this one gives no variance. "
                    "Measure it once: OptimalCovariance(denoiser, measurement, spread_of(denoiser, data, rng))."
                )
            operator, noise = self.measurement.operator, std_of(self.measurement) ** 2
            var = var.expand_as(seen.x)
            solved = cg(lambda v: noise * v + operator(var * operator.adjoint(v)), residual)
            return moved(seen, operator.adjoint(solved))


def nearest(change: Tensor, residual: Tensor) -> Tensor:
    """The share of a shift that may be taken, (B,) in [0, 1]: not beyond the place on its line where A x is nearest to
    y. ``change`` (B, *M) is what the shift does to A x."""
    change, ones = change.flatten(1), change.new_ones(change[0].numel())  # sums as products: faster where M is small
    along, square = (change * residual.flatten(1)) @ ones, (change * change) @ ones
    return (along / square.clamp_min(torch.finfo(square.dtype).tiny)).clamp(0, 1)


def check_variance(variance: float) -> None:
    """Raises UserError for a variance that is none."""
    if not 0 < variance < float("inf"):
        raise UserError(f"variance, that of the data, must be above 0, got {variance}.")
