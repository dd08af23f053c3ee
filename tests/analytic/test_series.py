from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from scorefield import Rng, UserError
from scorefield.analytic.series import (
    LORENZ_MEAN,
    ar1,
    kalman_smoother,
    lorenz63,
    lorenz_paths,
    noisy_lorenz63,
    particle_smoother,
)


def test_the_smoother_is_the_posterior_of_the_joint_law():
    """Two passes against one solve with the covariance."""
    law, seen = ar1(0.8, 12), [0, 3, 4, 9]
    y = torch.full((12,), torch.nan).double()
    y[seen] = torch.tensor([0.3, -1.0, 0.5, 2.0]).double()
    mean, var = kalman_smoother(0.8, y, 0.3)
    joint = law.posterior(torch.eye(12).double()[seen], y[seen], 0.3)
    torch.testing.assert_close(mean, joint.mean)
    torch.testing.assert_close(var, joint.cov.diagonal())
    nothing = kalman_smoother(0.8, torch.full((5,), torch.nan), 0.3)
    assert nothing[0].tolist() == [0] * 5 and torch.equal(nothing[1], torch.ones(5).double())
    with pytest.raises(UserError, match="−1 < a < 1"):
        ar1(1.0, 4)


def test_particles_are_the_smoother_where_that_is_known():
    """30,000 particles on an AR(1) of 8 places, its evidence too. Ancestry leaves at least some 1,000 distinct first
    places, so standard errors of means are ≤ 0.03 of a deviation; 4 of them."""
    a, std, rng = 0.8, 0.5, Rng(1)
    law = ar1(a, 8)
    y = law.sample(1, Rng(0))[0] + std * Rng(2).normal(torch.empty(8).double())

    def log_likelihood(x, i):
        return -0.5 * ((y[i] - x[:, 0]) / std).square() - math.log(std) - 0.5 * math.log(2 * math.pi)

    paths, log_evidence = particle_smoother(
        rng.normal(torch.empty(30_000, 1).double()),
        lambda x: a * x + math.sqrt(1 - a * a) * rng.normal(x),
        log_likelihood,
        8,
        rng,
    )
    mean, var = kalman_smoother(a, y, std)
    assert ((paths[:, 0].mean(0) - mean) / var.sqrt()).abs().max() < 0.12
    torch.testing.assert_close(paths[:, 0].var(0), var, rtol=0.15, atol=0)
    exact = law.noised(1.0, std).log_prob(y[None]).item()
    assert abs(log_evidence - exact) < 0.06  # relative standard error of the evidence about 1.5 %


def test_lorenz_steps_are_of_fourth_order_and_its_paths_stationary():
    x = torch.tensor([[1.0, 2.0, 20.0], [-5.0, -6.0, 22.0]]).double()

    def end(steps):
        y = x
        for _ in range(steps):
            y = lorenz63(y, 0.1 / steps)
        return y

    errors = [(end(n) - end(512)).norm().item() for n in (8, 16, 32)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(order - 4) < 0.3 for order in orders), orders
    fixed = torch.tensor([72**0.5, 72**0.5, 27.0]).double()  # a zero of the slope
    torch.testing.assert_close(lorenz63(fixed), fixed)
    torch.testing.assert_close(noisy_lorenz63(fixed.expand(4, 3), Rng(0)).shape, torch.Size([4, 3]))
    paths = lorenz_paths(200, 40, Rng(0))
    assert paths.shape == (200, 3, 40) and LORENZ_MEAN[2] == 25
    # 200 paths: standard errors of means about 0.07 in units of the deviation, of deviations half of that
    assert paths.mean((0, 2)).abs().max() < 0.3 and (paths.std((0, 2)) - 1).abs().max() < 0.2
    assert (paths[:100].std((0, 2)) - paths[100:].std((0, 2))).abs().max() < 0.3
