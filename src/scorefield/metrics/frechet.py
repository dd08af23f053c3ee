"""The Fréchet distance: how far apart two clouds of features are if each is taken for a Gaussian."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .resample import Estimate, as_pair, check_rows

_RANK = 1e-10  # eigenvalues under this fraction of the largest one are rounding, not variance


def frechet_distance(fake: Tensor, real: Tensor) -> Estimate:
    """Compare means and covariances, the Gaussian part of two distributions.

    FD = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½, the squared 2-Wasserstein distance of two Gaussians
    (Dowson & Landau 1982; for images Heusel et al. 2017, Eq. 6). Two symmetric eigendecompositions in float64.

    fake (N, D), real (M, D) in any unit u; the value is in u², ≥ 0 up to rounding. It is biased upwards by about
    1/N + 1/M times a constant, so it is comparable only at equal N and M. Standard error by the delta method
    (``_influence``); where the two laws agree it is somewhat too large (by √2 to first order), never too small.
    Raises UserError for fewer than 10 rows, unequal D, NaN.
    """
    fake, real = as_pair(fake, real)
    mean1, x, cov1 = _moments(fake)
    mean2, y, cov2 = _moments(real)
    found = _between(mean1, cov1, mean2, cov2)
    variance = _influence(x, found.half1, found.shift) + _influence(y, found.half2(), -found.shift)
    return Estimate(found.value, variance**0.5)


def frechet_to_moments(fake: Tensor, mean: Tensor, cov: Tensor) -> Estimate:
    """The Fréchet distance of rows to a Gaussian whose mean and covariance are known, as from a file of statistics.

    fake (N, D), mean (D,), cov (D, D). The standard error is that of the rows; what the file was computed from is taken
    as it is. Bias and errors raised as in ``frechet_distance``.
    """
    check_rows("the samples", fake)
    mean1, x, cov1 = _moments(fake.detach().cpu().double())
    found = _between(mean1, cov1, mean.double(), cov.double())
    return Estimate(found.value, _influence(x, found.half1, found.shift) ** 0.5)


class _Between(NamedTuple):
    """The distance, and what moves it: Σ₁ → Σ₂ is transported by T = Σ₁^−½ (…)^½ Σ₁^−½ = half1 half1ᵀ."""

    value: float
    shift: Tensor  # μ₁ − μ₂
    half1: Tensor
    middle: Tensor  # eigenvalues of (Σ₁^½ Σ₂ Σ₁^½)^½
    turned: Tensor  # Σ₁^½ times their eigenvectors

    def half2(self) -> Tensor:
        """Of the way back, T⁻¹ = Σ₁^½ (…)^−½ Σ₁^½."""
        inverse = torch.where(self.middle > _RANK**0.5 * self.middle.max(), self.middle, torch.inf).rsqrt()
        return self.turned * inverse


def _between(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> _Between:
    root1, inverse1 = _roots(cov1)
    eigenvalues, vectors = torch.linalg.eigh(root1 @ cov2 @ root1)
    middle = eigenvalues.clamp_min(0).sqrt()
    shift = mean1 - mean2
    value = shift.square().sum() + cov1.trace() + cov2.trace() - 2 * middle.sum()
    return _Between(float(value), shift, (inverse1 @ vectors) * middle.sqrt(), middle, root1 @ vectors)


def _influence(centred: Tensor, half: Tensor, shift: Tensor) -> float:
    """Variance of FD caused by one sample: Var[2 δ·x + |x|² − |halfᵀ x|²] / N, the derivative of FD along x."""
    pull = 2 * centred @ shift + centred.square().sum(1) - (centred @ half).square().sum(1)
    return float(pull.var()) / len(centred)


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean = x.mean(0)
    centred = x - mean
    return mean, centred, centred.T @ centred / (len(x) - 1)


def _roots(cov: Tensor) -> tuple[Tensor, Tensor]:
    """(cov^½, cov^−½) on its range; directions without variance stay without."""
    eigenvalues, vectors = torch.linalg.eigh(cov)
    kept = eigenvalues > _RANK * eigenvalues.max().clamp_min(torch.finfo(cov.dtype).tiny)
    roots = torch.where(kept, eigenvalues.clamp_min(torch.finfo(cov.dtype).tiny).sqrt(), 0.0)
    inverses = torch.where(kept, 1 / roots, 0.0)
    return (vectors * roots) @ vectors.T, (vectors * inverses) @ vectors.T
