"""Inverse problems whose posterior is known exactly, and how far samples are from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from ..operators import GaussianNoise, Matrix, Measurement
from .mixture import GaussianMixture


class Bench(NamedTuple):
    """A prior, a linear measurement y = A x + std ε of one of its draws, and p(x | y) in closed form. All float64."""

    prior: GaussianMixture
    operator: Matrix
    y: Tensor  # (M,)
    std: float
    posterior: GaussianMixture

    @property
    def measurement(self) -> Measurement:
        """The same, as methods take it: y (1, M)."""
        return Measurement(self.operator, self.y[None], GaussianNoise(self.std))


def b_gauss(seed: int = 0) -> Bench:
    """B-gauss: N(0, C) in 8 dimensions, eigenvalues of C from 1 to 0.01, A 4×8 with singular values 1, 0.8, 0.6, 0.4,
    std 0.1. Methods that are exact for Gaussian priors are exact here."""
    rng = Rng(Rng.fold(seed, 1))
    cov = _cov(torch.logspace(0, -2, 8, dtype=torch.float64), rng)
    prior = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 8).double(), cov[None])
    return _measured(prior, _operator([1.0, 0.8, 0.6, 0.4], 8, rng), 0.1, rng)


def b_gmm(seed: int = 0) -> Bench:
    """B-gmm: six modes in 8 dimensions, means N(0, I), covariances with eigenvalues from 0.1 to 0.02, A 2×8 with
    singular values 1 and 0.6, std 0.2: several modes explain y."""
    rng = Rng(Rng.fold(seed, 2))
    return _measured(_six_modes(rng), _operator([1.0, 0.6], 8, rng), 0.2, rng)


def b_inpaint(seed: int = 0) -> Bench:
    """B-inp: the prior of B-gmm, its first two coordinates measured with std 0.01: nearly noiseless inpainting."""
    rng = Rng(Rng.fold(seed, 3))
    return _measured(_six_modes(rng), Matrix(torch.eye(8, dtype=torch.float64)[:2]), 0.01, rng)


def b_mcgd(d: int = 8, seed: int = 0, measured: int = 1) -> Bench:
    """B-mcgd: 25 unit Gaussians at (8i, 8j, 8i, 8j …), i, j ∈ {−2 … 2}, with random weights; A with singular values
    uniform on [0, 1], std uniform on [0, s_max], at least 0.01 (Cardoso et al. 2024, MCGDiff, section 4). d even, any
    size. Raises UserError for an odd d or more measurements than d."""
    if d < 2 or d % 2 or not 1 <= measured <= d:
        raise UserError(f"B-mcgd needs an even d and 1 to d measurements, got d={d} and {measured}.")
    rng = Rng(Rng.fold(seed, 4, d, measured))
    axis = 8 * torch.arange(-2, 3, dtype=torch.float64)
    means = torch.cartesian_prod(axis, axis).repeat(1, d // 2)
    weights = rng.normal(means[:, 0]).exp()
    values = rng.uniform(torch.empty(measured).double()).sort(descending=True).values
    std = max(0.01, (rng.uniform(values[0]) * values[0]).item())
    prior = GaussianMixture.isotropic(means, 1.0, weights / weights.sum())
    return _measured(prior, _operator(values.tolist(), d, rng), std, rng)


def responsibilities(x: Tensor, law: GaussianMixture) -> Tensor:
    """The probability that each mode made x: (N, D) → (N, K)."""
    return law._log_parts(x.to(law.means), law.means.new_ones(()), law.means.new_zeros(()))[0].softmax(-1)


def mode_error(x: Tensor, posterior: GaussianMixture, log_weights: Tensor | None = None) -> float:
    """½ Σ_k |mean responsibility − w_k|: how much mass lies in wrong modes, 0 … 1. x (N, D) samples, weighted by
    ``log_weights`` (N,) where they have any."""
    share = _normalised(x, posterior, log_weights) @ responsibilities(x, posterior)
    return 0.5 * (share - posterior.weights).abs().sum().item()


def trace_ratio(x: Tensor, posterior: GaussianMixture, log_weights: Tensor | None = None) -> float:
    """tr Cov of the samples (N, D) over that of the posterior: 1 is right, less is too narrow."""
    w, x = _normalised(x, posterior, log_weights), x.to(posterior.means)
    spread = w @ (x - w @ x).square().sum(1)
    return (spread / posterior.cov.trace()).item()


def mean_error(x: Tensor, posterior: GaussianMixture, log_weights: Tensor | None = None) -> float:
    """The root mean square over coordinates of (mean of the samples − posterior mean)/(posterior std)."""
    offset = _normalised(x, posterior, log_weights) @ x.to(posterior.means) - posterior.mean
    return (offset / posterior.cov.diagonal().sqrt()).square().mean().sqrt().item()


def chi2_ratio(x: Tensor, bench: Bench, log_weights: Tensor | None = None) -> float:
    """E‖y − A x‖² of the samples (N, D) over its exact posterior value ‖y − A m‖² + tr A C Aᵀ: 1 is right, less follows
    the noise of y, more ignores y."""
    w, A = _normalised(x, bench.posterior, log_weights), bench.operator.A
    got = w @ (bench.y - x.to(A) @ A.mT).square().sum(1)
    want = (bench.y - A @ bench.posterior.mean).square().sum() + (A @ bench.posterior.cov @ A.mT).trace()
    return (got / want).item()


def _normalised(x: Tensor, law: GaussianMixture, log_weights: Tensor | None) -> Tensor:
    if x.ndim != 2 or x.shape[1] != law.means.shape[1]:
        raise UserError(f"samples must be (N, {law.means.shape[1]}), got {tuple(x.shape)}.")
    return (torch.zeros(len(x)) if log_weights is None else log_weights).to(law.means).softmax(0)


def _measured(prior: GaussianMixture, operator: Matrix, std: float, rng: Rng) -> Bench:
    measurement = Measurement.of(prior.sample(1, rng), operator, GaussianNoise(std), rng)
    return Bench(prior, operator, measurement.y[0], std, prior.posterior(operator.A, measurement.y[0], std))


def _six_modes(rng: Rng) -> GaussianMixture:
    means = rng.normal(torch.empty(6, 8).double())
    variances = torch.logspace(-1, -1.69897, 8, dtype=torch.float64)  # 0.1 … 0.02
    return GaussianMixture(
        torch.full_like(means[:, 0], 1 / 6), means, torch.stack([_cov(variances, rng) for _ in means])
    )


def _operator(values: list[float], d: int, rng: Rng) -> Matrix:
    return Matrix(torch.tensor(values).double()[:, None] * _rotation(d, rng)[: len(values)])


def _cov(variances: Tensor, rng: Rng) -> Tensor:
    directions = _rotation(len(variances), rng)
    return directions @ (variances[:, None] * directions.mT)


def _rotation(d: int, rng: Rng) -> Tensor:
    """A random orthogonal matrix (Haar: the signs of R make QR unique)."""
    Q, R = torch.linalg.qr(rng.normal(torch.empty(d, d).double()))
    return Q * R.diagonal().sign()
