"""What particles are told of the measurement before they are clean: p̃(y | x_t), and where it pulls them.

Any positive p̃ leaves sequential Monte Carlo correct, since the true likelihood is in the last weight. A better one
makes the weights more even, so that fewer particles do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Denoiser
from ..errors import UserError
from ..guidance.tilted import View, differentiable
from ..operators import Measurement, Spectrum, spectrum_of
from .envelope import envelope
from .requirements import require
from .tangent import full_solve, tangent
from .twist import Guided, Look

LARGEST = 256  # numbers in a measurement whose covariance is computed: as many backward passes an evaluation


def checked(belief: Any) -> Any:
    """The belief itself. Raises UserError when it is no graph over x_t."""
    if not belief.mean.requires_grad:
        raise UserError(
            "particles are guided along the gradient of the denoiser, and this one gives beliefs that have none. Use "
            "twist='mcgdiff' (method mcgdiff), which needs no gradients."
        )
    return belief


@dataclass(frozen=True, eq=False)
class LikelihoodTwist(Guided):
    """p̃ = exp f(x_t, t, belief) for any differentiable f (B,) in nats: a noise-aware classifier, an energy, CLIP. At t
    = 0 f is the true log-likelihood of x₀: it is asked with t = 0 and a belief that is sure of x₀ (TDS for classes: Wu
    et al. 2023, section 3.3)."""

    f: Callable[[Tensor, Tensor, Any], Tensor]

    def look(self, denoiser: Denoiser, x: Tensor, t: Tensor, rows: Tensor, cond: dict[str, Any]) -> Look:
        with differentiable():
            seen = _seen(denoiser, x, t, cond)
            value = self.f(seen.x, t, seen.belief)
            shift = seen.gain * seen.pull(value)
        return Look(seen.mean.detach(), shift, value.detach().double())

    def last(self, x0: Tensor, rows: Tensor) -> Tensor:
        return self.f(x0, torch.zeros((), dtype=torch.float64), Moments(x0)).double()


@dataclass(frozen=True, eq=False)
class ProximalTwist(Guided):
    """p̃ = max_z p(y | z) exp(−‖z − x̂‖²/(2 r²)), r² = v s²/(v + s²), s = σ/α: p(y | x_t) by Laplace's approximation, as
    if x₀ had variance ``variance`` v in every direction. For any likelihood that can be differentiated: Poisson counts,
    phase retrieval. With a linear operator and Gaussian noise it is ``PiGDMTwist``.

    One backward pass of the network; the maximum takes some evaluations of the likelihood (``envelope``). Needs noise
    with a density.
    """

    measurement: Measurement
    variance: float = 1.0

    def look(self, denoiser: Denoiser, x: Tensor, t: Tensor, rows: Tensor, cond: dict[str, Any]) -> Look:
        with differentiable():
            seen = _seen(denoiser, x, t, cond)
            mean, var = seen.mean.detach(), _widened(seen, self.variance)
            found = envelope(_row(self.measurement, rows).log_likelihood, mean, var)
            shift = seen.gain * seen.pull(seen.mean, (found.place - mean) / var)
        return Look(mean, shift, found.height.double())

    def last(self, x0: Tensor, rows: Tensor) -> Tensor:
        return _row(self.measurement, rows).log_likelihood(x0).double()


@dataclass(frozen=True, eq=False)
class PiGDMTwist(Guided):
    """p̃ = N(y; A x̂, std² I + r² A Aᵀ), r² = v s²/(v + s²), s = σ/α, as if x₀ had variance ``variance`` v in every
    direction (Song et al. 2023, ΠGDM; the twist of Wu et al. 2023 for linear measurements). One backward pass.

    Needs a linear operator with a spectrum and noise with a std > 0.
    """

    measurement: Measurement
    variance: float = 1.0
    spectrum: Spectrum = field(init=False)

    def __post_init__(self) -> None:
        deviation(self.measurement)
        object.__setattr__(self, "spectrum", spectrum_of(self.measurement.operator))

    def look(self, denoiser: Denoiser, x: Tensor, t: Tensor, rows: Tensor, cond: dict[str, Any]) -> Look:
        with differentiable():
            seen = _seen(denoiser, x, t, cond)
            mean = seen.mean.detach()
            residual = _row(self.measurement, rows).residual(mean)
            along, std = self.spectrum.to_u(residual), deviation(self.measurement)
            values = self.spectrum.values.to(x)
            var, dim = std**2 + _widened(seen, self.variance) * values**2, prod(self.measurement.operator.measured)
            weights = self.spectrum.from_v(self.spectrum.filled(values / var * along))
            shift = seen.gain * seen.pull(seen.mean, weights)
        square, free = along.square(), dim - self.spectrum.rank
        spent = (square / var).sum(1) + (var.log().sum() + free * math.log(std**2) + dim * math.log(2 * math.pi))
        if free:  # directions of y that A cannot reach are noise alone
            spent = spent + (residual.flatten(1).square().sum(1) - square.sum(1)).clamp_min(0) / std**2
        return Look(mean, shift, -0.5 * spent.double())

    def last(self, x0: Tensor, rows: Tensor) -> Tensor:
        return _row(self.measurement, rows).log_likelihood(x0).double()


@dataclass(frozen=True, eq=False)
class MMPSTwist(Guided):
    """p̃ = N(y; A x̂, std² I + A Cov[x₀ | x_t] Aᵀ) with the model's own covariance, Cov = (σ²/α) ∂x̂/∂x_t (Rozet et al.
    2024; Boys et al. 2023). Exact for Gaussian priors. M backward passes for a measurement of M numbers.

    The covariance of a network need not be symmetric or positive: it is symmetrised and its negative part left out.
    Operators that are not linear are linearised at x̂. Needs noise with a std > 0 and at most 256 numbers in y.
    """

    measurement: Measurement

    def __post_init__(self) -> None:
        deviation(self.measurement)
        dim = prod(self.measurement.operator.measured)
        if dim > LARGEST:
            raise UserError(
                f"the twist 'mmps' computes the covariance of y, which has {dim} numbers; at most {LARGEST} are "
                "allowed. Use twist='pigdm', or the method 'mmps', which needs no covariance."
            )

    def look(self, denoiser: Denoiser, x: Tensor, t: Tensor, rows: Tensor, cond: dict[str, Any]) -> Look:
        measurement = _row(self.measurement, rows)
        with differentiable():
            seen = _seen(denoiser, x, t, cond)
            mean = seen.mean.detach()
            near, residual = tangent(measurement.operator, mean), measurement.residual(mean)
            std, precise = deviation(measurement), torch.float64
            shift, log_twist = full_solve(seen, near, residual, std, precise)
        return Look(mean, shift, log_twist)

    def last(self, x0: Tensor, rows: Tensor) -> Tensor:
        return _row(self.measurement, rows).log_likelihood(x0).double()


def deviation(measurement: Measurement) -> float:
    """The standard deviation of the noise. Raises UserError where it has none above 0."""
    require(measurement, "a Gaussian twist", "noise > 0", "deviation")
    return measurement.noise.std or 0.0


def _seen(denoiser: Denoiser, x: Tensor, t: Tensor, cond: dict[str, Any]) -> View:
    """The belief as a graph over x_t."""
    x, (alpha, sigma) = x.detach().requires_grad_(), denoiser.process.schedule(t)
    return View(x, checked(denoiser(x, t, **cond)), t, sigma, sigma / alpha)


def _widened(seen: View, variance: float) -> float:
    """r² = v s²/(v + s²)."""
    level2 = seen.level.item() ** 2
    return level2 * variance / (level2 + variance)


def _row(measurement: Measurement, rows: Tensor) -> Measurement:
    """The measurement with a row of y for each of the examples."""
    return measurement if len(measurement.y) == 1 else measurement.rows(rows)
