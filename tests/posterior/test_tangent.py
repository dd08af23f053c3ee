"""Covariances that a network made up: what is not positive in them is not trusted."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd.function import once_differentiable

from scorefield import Moments, Rng, UserError
from scorefield.core import as_time
from scorefield.operators import Function, GaussianNoise, Measurement, cg
from scorefield.posterior import MMPS
from scorefield.posterior.tangent import solve_positive, tangent
from tests.posterior.guided_laws import PROCESS, correlated, masked, normal

STD = 0.1


def turned(values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """A symmetric matrix (1, M, M) with these eigenvalues, and its eigenvectors (M, M) in columns."""
    axes, _ = torch.linalg.qr(Rng(3).normal(torch.empty(len(values), len(values), dtype=torch.float64)))
    return (axes * torch.tensor(values, dtype=torch.float64) @ axes.mT)[None], axes


def test_a_positive_covariance_is_solved_and_its_density_is_that_of_the_normal_law():
    matrix, _ = turned([2.0, 0.5, 0.0])
    b = Rng(1).normal(torch.empty(1, 3, dtype=torch.float64))
    cov = matrix[0] + STD**2 * torch.eye(3)
    solved, log_density = solve_positive(matrix, STD, b)
    torch.testing.assert_close(solved[0], torch.linalg.solve(cov, b[0]))
    law = torch.distributions.MultivariateNormal(torch.zeros(3).double(), cov)
    torch.testing.assert_close(log_density, law.log_prob(b))


def test_nothing_is_answered_where_a_covariance_is_negative():
    """−0.9 std² passes a Cholesky factorisation of C + std² I and would be answered ten times too loud."""
    for below in (-0.9 * STD**2, -5 * STD**2):
        matrix, axes = turned([2.0, below, 0.3])
        b = Rng(2).normal(torch.empty(1, 3, dtype=torch.float64))
        solved, log_density = solve_positive(matrix, STD, b)
        along, want = (
            axes.mT @ solved[0],
            (axes.mT @ b[0]) / torch.tensor([2.0 + STD**2, math.inf, 0.3 + STD**2], dtype=torch.float64),
        )
        torch.testing.assert_close(along, want, rtol=1e-9, atol=1e-12)
        assert log_density.isfinite()


class Sheared:
    """A denoiser x̂₀ = x Jᵀ: the C of a network, neither symmetric nor positive."""

    process = PROCESS

    def __init__(self, J: torch.Tensor) -> None:
        self.J = J

    def __call__(self, x, t, **cond):
        return Moments(x @ self.J.mT)


def test_projected_on_some_directions_y_is_answered_as_by_conjugate_gradients_and_on_all_in_full():
    """Of the covariance of a Gaussian the first; of one that is neither symmetric nor positive the second, where
    conjugate gradients answer more than a hundred times too loud."""
    law, measurement, t = normal(correlated()), masked((8,), std=STD), as_time(0.4)
    x, A = Rng(3).normal(torch.empty(6, 8).double()), torch.eye(8).double()[:4]
    inner, (alpha, sigma) = law.denoiser(PROCESS), PROCESS.schedule(t)
    mean = inner(x, t).mean
    cov = torch.linalg.inv(torch.linalg.inv(law.covs[0]) + torch.eye(8).double() * (alpha / sigma) ** 2)
    for count in (1, 2, 3):
        solved = cg(lambda v: v @ (A @ cov @ A.mT) + STD**2 * v, measurement.y - mean @ A.mT, count)
        torch.testing.assert_close(MMPS(inner, measurement, count)(x, t).mean, mean + solved @ A @ cov)

    matrix, _ = turned([1.0, 0.7, 0.1, -0.02, 0.5, 0.2, 1e-3, -0.3])
    inner = Sheared(matrix[0] + 0.3 * Rng(5).normal(torch.empty(8, 8).double()).tril(-1))
    full, gain = MMPS(inner, measurement)(x, t).mean, sigma**2 / alpha
    torch.testing.assert_close(MMPS(inner, measurement, 4)(x, t).mean, full, rtol=1e-6, atol=1e-8)
    mean = inner(x, t).mean
    lost = cg(lambda v: gain * v @ A @ inner.J @ A.mT + STD**2 * v, measurement.y - mean @ A.mT, 4)
    assert (gain * lost @ A @ inner.J @ A.mT).norm(dim=1).max() > 100 * ((full - mean) @ A.mT).norm(dim=1).max()


@pytest.mark.parametrize("std", [0.0, STD])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_example_whose_directions_end_takes_no_rounding_for_another(std, dtype):
    """What is left to say of the first example is an eigenvector of C, of the second nothing, of the others all. With
    std 0 the solve leaves out 1e-7 of the covariance."""
    inner = Sheared(torch.linspace(0.2, 0.9, 8, dtype=dtype).diag())
    x, t = Rng(3).normal(torch.empty(4, 8, dtype=dtype)), as_time(0.4)
    residual = Rng(4).normal(torch.empty(4, 4, dtype=dtype))
    residual[0, 1:], residual[1] = 0.0, 0.0
    mean = inner(x, t).mean
    measurement = Measurement(masked((8,)).operator, mean[:, :4] + residual, GaussianNoise(std))
    got, full = (MMPS(inner, measurement, count)(x, t).mean for count in (4, None))
    torch.testing.assert_close(got, full, rtol=0, atol=1e-5)
    torch.testing.assert_close(got[1], mean[1], rtol=0, atol=1e-6)


class Backwards(torch.autograd.Function):
    """As users write them: forward and backward, without setup_context, so that forward differentiation is refused."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0].cos()


class Once(Backwards):
    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0].cos()


def test_functions_with_nothing_but_a_backward_pass_are_linearised_both_ways():
    x, u = (Rng(seed).normal(torch.empty(3, 8).double()) for seed in (1, 2))
    near = tangent(Function(Backwards.apply, (8,), linear=False), x)
    for _ in range(2):
        torch.testing.assert_close(near.forward(u), x.cos() * u)
    torch.testing.assert_close(near.back(u), x.cos() * u)
    with pytest.raises(UserError, match="differentiates the backward pass of Function, and torch cannot"):
        tangent(Function(Once.apply, (8,), linear=False), x).forward(u)
