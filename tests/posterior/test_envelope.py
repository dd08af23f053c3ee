"""The likeliest place near a mean: in closed form where a likelihood is Gaussian, on a grid where it is not."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import Gaussian, Rng
from scorefield.analytic.inverse import b_gmm, b_inpaint
from scorefield.noise import VP
from scorefield.operators import Function, GaussianNoise, LaplaceNoise, Matrix, Measurement, PoissonNoise
from scorefield.posterior.envelope import envelope
from scorefield.posterior.twists import PiGDMTwist, ProximalTwist

VPSDE = Gaussian(VP())
LINE = torch.linspace(-8, 8, 160_001).double()[:, None]  # steps of 1e-4


def test_of_a_gaussian_likelihood_it_is_one_newton_step_and_exact():
    """argmin ‖y − A z‖²/std² + ‖z − m‖²/v, at a condition of 10⁵."""
    A = Rng(0).normal(torch.empty(3, 6).double())
    m, y, std, v = Rng(1).normal(torch.empty(5, 6).double()), Rng(2).normal(torch.empty(1, 3).double()), 0.01, 0.7
    found = envelope(Measurement(Matrix(A), y, GaussianNoise(std)).log_likelihood, m, v)
    gain = torch.linalg.solve(v * A @ A.mT + std**2 * torch.eye(3).double(), (y - m @ A.mT).mT).mT
    assert torch.allclose(found.place, m + v * gain @ A, atol=1e-8)
    square = ((y - m @ A.mT) * gain).sum(1)
    assert torch.allclose(found.height, -0.5 * square - 3 * math.log(std) - 1.5 * math.log(2 * math.pi), atol=1e-6)


@pytest.mark.parametrize(
    ("function", "noise", "y"),
    [
        (lambda x: x, PoissonNoise(3.0, low=-2.0), 0.6),
        (lambda x: x, LaplaceNoise(0.2), 0.8),
        (lambda x: x.square(), GaussianNoise(0.3), 1.2),
        (lambda x: x.sin(), GaussianNoise(0.05), 0.9),
    ],
)
def test_of_other_likelihoods_it_is_near_the_best_of_a_grid(function, noise, y):
    """Never above the grid's best (to half a step of the grid: 1e-4 at slopes of 5 or less near the best) and never
    below where it began; within 0.8 nats of the best (a kink is come near only slowly), but that a place beyond a
    valley need not be found: two of twelve of the sine's are the next best."""
    m, v = torch.linspace(-1.5, 1.5, 12).double()[:, None], 0.5
    measurement = Measurement(Function(function, (1,)), torch.tensor([[y]]).double(), noise)
    best = (measurement.log_likelihood(LINE) - (LINE - m[:, None]).square()[..., 0] / (2 * v)).amax(1)
    found = envelope(measurement.log_likelihood, m, v)
    assert (found.height <= best + 1e-4).all() and (found.height >= measurement.log_likelihood(m)).all()
    assert torch.allclose(
        found.height, measurement.log_likelihood(found.place) - (found.place - m)[:, 0] ** 2 / (2 * v)
    )
    assert ((best - found.height) < 0.8).double().mean() >= 0.8


def test_an_example_does_not_see_its_batch():
    measurement = Measurement(
        Function(lambda x: x.sin(), (2,)), torch.tensor([[0.9, -0.2]]).double(), GaussianNoise(0.1)
    )
    m = 2 * Rng(0).normal(torch.empty(9, 2).double())
    together = envelope(measurement.log_likelihood, m, 0.8)
    for i in range(9):
        alone = envelope(measurement.log_likelihood, m[i : i + 1], 0.8)
        assert torch.allclose(alone.place[0], together.place[i], atol=1e-9)


@pytest.mark.parametrize("make", [b_gmm, b_inpaint])
def test_with_a_gaussian_likelihood_the_twist_is_that_of_pigdm(make):
    """The same mean and shift, and log p̃ but for what does not depend on x_t: the volume of the Gaussian."""
    bench = make(0)
    denoiser, t, rows = bench.prior.denoiser(VPSDE), torch.tensor(0.3).double(), torch.zeros(7).long()
    x = Rng(0).normal(torch.empty(7, 8).double())
    one = ProximalTwist(bench.measurement).look(denoiser, x, t, rows, {})
    other = PiGDMTwist(bench.measurement).look(denoiser, x, t, rows, {})
    assert torch.allclose(one.mean, other.mean) and torch.allclose(one.shift, other.shift, rtol=1e-6, atol=1e-8)
    difference = one.log_twist - other.log_twist
    assert difference.max() - difference.min() < 1e-6 * other.log_twist.abs().max()
