"""Covariances that a network made up: what is not positive in them is not trusted."""

from __future__ import annotations

import math

import torch

from scorefield import Rng
from scorefield.operators import cg
from scorefield.posterior.tangent import solve_positive

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


def test_conjugate_gradients_stop_where_the_least_eigenvalue_is_missed():
    square = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    b = torch.eye(3, dtype=torch.float64)
    found = cg(lambda v: square * v, b, least=1.0)
    torch.testing.assert_close(found, torch.diag(torch.tensor([0.5, 0.0, 1.0], dtype=torch.float64)))
