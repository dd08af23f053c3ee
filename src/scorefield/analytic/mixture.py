"""Gaussian mixtures: score, denoiser, density, samples and posteriors in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..belief import Moments
from ..core import Rng
from ..errors import UserError
from ..noise.gaussian import Gaussian


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Σ_k w_k N(m_k, C_k) on ℝᴰ; weights (K,) summing to 1, means (K, D), covs (K, D, D) symmetric, ≥ 0.

    Raises UserError when the shapes or the weights do not fit.
    """

    weights: Tensor
    means: Tensor
    covs: Tensor

    def __post_init__(self) -> None:
        k, d = self.means.shape if self.means.ndim == 2 else (-1, -1)
        if self.weights.shape != (k,) or self.covs.shape != (k, d, d):
            shapes = [tuple(part.shape) for part in (self.weights, self.means, self.covs)]
            raise UserError(f"a mixture needs weights (K,), means (K, D) and covs (K, D, D), got {shapes}.")
        if (self.weights < 0).any() or abs(self.weights.sum().item() - 1) > 1e-6:
            raise UserError(f"the weights of a mixture must be ≥ 0 and sum to 1, got {self.weights.tolist()}.")

    @classmethod
    def isotropic(cls, means: Tensor, std: float, weights: Tensor | None = None) -> GaussianMixture:
        """Equal round components: means (K, D), one standard deviation; weights (K,) uniform by default."""
        k, d = means.shape
        covs = std**2 * torch.eye(d, dtype=means.dtype, device=means.device).expand(k, d, d)
        return cls(torch.full_like(means[:, 0], 1 / k) if weights is None else weights, means, covs)

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        """Variances (K, D) and directions (K, D, D) of the principal axes: noise changes the first alone."""
        variances, directions = torch.linalg.eigh(self.covs)
        return variances.clamp_min(0), directions

    @cached_property
    def mean(self) -> Tensor:
        """Mean of the law, (D,)."""
        return self.weights @ self.means

    @cached_property
    def cov(self) -> Tensor:
        """Covariance of the law, (D, D)."""
        offset = self.means - self.mean
        return torch.einsum("k,kij->ij", self.weights, self.covs + offset[:, :, None] * offset[:, None, :])

    def noised(self, alpha: float | Tensor, sigma: float | Tensor) -> GaussianMixture:
        """The law of α x + σ ε."""
        eye = torch.eye(self.means.shape[-1]).to(self.means)
        return GaussianMixture(self.weights, alpha * self.means, alpha**2 * self.covs + sigma**2 * eye)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, (B, D) → (B,). Needs covariances of full rank."""
        return torch.logsumexp(self._log_parts(x, x.new_ones(()), x.new_zeros(()))[0], -1)

    def score(self, x: Tensor) -> Tensor:
        """∇ log density, (B, D) → (B, D). Needs covariances of full rank."""
        parts, y, var = self._log_parts(x, x.new_ones(()), x.new_zeros(()))
        pull = torch.einsum("kij,bkj->bki", self._axes[1], -y / var)
        return (parts.softmax(-1)[..., None] * pull).sum(1)

    def sample(self, n: int, rng: Rng) -> Tensor:
        """n draws, (n, D). Needs an ``Rng`` with one seed, or n of them."""
        u = rng.uniform(torch.empty(n).to(self.weights))
        k = torch.searchsorted(self.weights.cumsum(0), u.contiguous()).clamp_max(len(self.weights) - 1)
        variances, directions = self._axes
        z = rng.normal(self.means[k]) * variances[k].sqrt()
        return self.means[k] + torch.einsum("bij,bj->bi", directions[k], z)

    def posterior(self, A: Tensor, y: Tensor, std: float) -> GaussianMixture:
        """The law of x given y = A x + std ε; A (M, D), y (M,)."""
        noise = std**2 * torch.eye(len(y)).to(y)
        S = A @ self.covs @ A.mT + noise
        gain = torch.linalg.solve(S, A @ self.covs).mT
        residual = y - self.means @ A.mT
        evidence = torch.distributions.MultivariateNormal(torch.zeros_like(residual), S).log_prob(residual)
        covs = self.covs - gain @ (A @ self.covs)
        means = self.means + (gain @ residual[..., None])[..., 0]
        return GaussianMixture((self.weights.log() + evidence).softmax(0), means, 0.5 * (covs + covs.mT))

    def denoiser(self, process: Gaussian, variance: bool = False) -> ExactDenoiser:
        """The exact belief E[x₀ | x_t] of data with this law, with its marginal variances if asked."""
        return ExactDenoiser(self, process, variance)

    def _log_parts(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For x_t = α x₀ + σ ε: log w_k N(x_t; …) (B, K), and in the axes of each component the residual
        x_t − α m_k (B, K, D) and the variance (K, D) or (B, K, D). α, σ are () or (B, 1)."""
        alpha, sigma = (c[..., None] if c.ndim else c for c in (alpha, sigma))
        variances, directions = self._axes
        var = alpha**2 * variances + sigma**2
        y = torch.einsum("kij,bki->bkj", directions, x[:, None] - alpha * self.means)
        log_density = -0.5 * (y.square() / var + var.log() + math.log(2 * math.pi)).sum(-1)
        return self.weights.log() + log_density, y, var


@dataclass(frozen=True, eq=False)
class ExactDenoiser:
    """E[x₀ | x_t] (and Var, per coordinate) when the data follow ``law`` under ``process``."""

    law: GaussianMixture
    process: Gaussian
    variance: bool = False

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        """x_t (B, D), t () or (B,) with σ_t > 0, → the belief. Conditions tell it nothing: the law is known."""
        alpha, sigma = self.process.scales(t, x)
        parts, y, var = self.law._log_parts(x, alpha, sigma)
        if alpha.ndim:
            alpha, sigma = alpha[..., None], sigma[..., None]
        variances, directions = self.law._axes
        w = parts.softmax(-1)[..., None]  # (B, K, 1)
        means = self.law.means + torch.einsum("kij,bkj->bki", directions, alpha * variances / var * y)
        mean = (w * means).sum(1)
        if not self.variance:
            return Moments(mean)
        within = torch.einsum("kij,...kj->...ki", directions.square(), variances * sigma**2 / var)
        return Moments(mean, (w * (within + (means - mean[:, None]).square())).sum(1))
