"""The Fréchet distance: how far apart two clouds of features are if each is taken for a Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor

from .resample import Estimate, as_pair

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
    root1 = _power(cov1, 0.5)
    eigenvalues, vectors = torch.linalg.eigh(root1 @ cov2 @ root1)
    middle = eigenvalues.clamp_min(0).sqrt()
    shift = mean1 - mean2
    value = shift.square().sum() + cov1.trace() + cov2.trace() - 2 * middle.sum()
    # Σ₁ → Σ₂ is transported by T = Σ₁^−½ (…)^½ Σ₁^−½, and back by its inverse Σ₁^½ (…)^−½ Σ₁^½
    half1 = (_power(cov1, -0.5) @ vectors) * middle.sqrt()
    inverse = torch.where(middle > _RANK**0.5 * middle.max(), middle, torch.inf).rsqrt()
    half2 = (root1 @ vectors) * inverse
    variance = _influence(x, half1, shift) + _influence(y, half2, -shift)
    return Estimate(float(value), variance**0.5)


def _influence(centred: Tensor, half: Tensor, shift: Tensor) -> float:
    """Variance of FD caused by one sample: Var[2 δ·x + |x|² − |halfᵀ x|²] / N, the derivative of FD along x."""
    pull = 2 * centred @ shift + centred.square().sum(1) - (centred @ half).square().sum(1)
    return float(pull.var()) / len(centred)


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean = x.mean(0)
    centred = x - mean
    return mean, centred, centred.T @ centred / (len(x) - 1)


def _power(cov: Tensor, exponent: float) -> Tensor:
    """cov^exponent on its range; directions without variance stay without."""
    eigenvalues, vectors = torch.linalg.eigh(cov)
    kept = eigenvalues > _RANK * eigenvalues.max().clamp_min(torch.finfo(cov.dtype).tiny)
    powered = torch.where(kept, eigenvalues.clamp_min(torch.finfo(cov.dtype).tiny).pow(exponent), 0.0)
    return (vectors * powered) @ vectors.T
