"""The sampler of products of 2015 draws p r², which the reference worked out for N(0, 1) data."""

from __future__ import annotations

import pytest
import torch

from scorefield import Gaussian, Rng, UserError, sample, trajectory
from scorefield.belief import Moments
from scorefield.noise import BetaTable
from scorefield.posterior.product import ProductSteps
from scorefield.solvers import Uniform
from tests.solvers.laws import Pulses, normal_law

F = torch.float64


class Standard:
    """The exact belief about N(0, 1) data under a variance-preserving schedule, variance and all."""

    def __init__(self, process: Gaussian) -> None:
        self.process = process

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> Moments:
        alpha, sigma = self.process.schedule(t)
        return Moments(alpha * x, sigma.square().expand_as(x))


@pytest.mark.parametrize(
    ("noise", "mean", "var"), [(1.0, 0.6665, 0.3337), (0.25, 0.8889, 0.1114), (4.0, 0.3368, 0.667)]
)
def test_what_is_multiplied_into_every_step_counts_twice(noise, mean, var):
    """y = 1 and DDPM's 1000 steps, without sampling: the chain is affine in its start and its draws. The true posterior
    is N(1/(1 + s²), s²/(1 + s²)); p r² is N(2/(2 + s²), s²/(2 + s²)), from which steps of β = 1e-4 … 0.02 are off by
    less than 1e-3. The reference's figures are of another schedule: 5e-3."""
    process, rng = Gaussian(BetaTable()), Pulses()
    x = torch.zeros(1002, 1, dtype=F)
    x[1] = 1
    solver = ProductSteps(torch.ones(1, dtype=F), noise**0.5)
    *_, last = trajectory(Standard(process), x, Uniform()(process, 1000), solver=solver, rng=rng)
    pulse = last.x[:, 0] - last.x[0, 0]
    found = last.x[0].item(), pulse[1:].square().sum().item()
    assert found == pytest.approx((2 / (2 + noise), noise / (2 + noise)), abs=1e-3)
    assert found == pytest.approx((mean, var), abs=5e-3)
    assert abs(found[0] - 1 / (1 + noise)) > 0.05


def test_known_numbers_are_kept_and_others_are_not_touched():
    denoiser = normal_law(0.3, 2.0).denoiser(Gaussian(BetaTable(steps=50)))
    y, std = torch.tensor([[0.7], [9.0]], dtype=F), torch.tensor([[0.0], [float("inf")]], dtype=F)
    walk = {"steps": 50, "grid": Uniform()}
    drawn = sample(denoiser, (2, 1), solver=ProductSteps(y, std), rng=Rng(0), dtype=F, **walk)
    free = sample(denoiser, (2, 1), solver=ProductSteps(y, float("inf")), rng=Rng(0), dtype=F, **walk)
    assert drawn[0].item() == 0.7
    assert drawn[1].item() == free[1].item()


def test_a_negative_deviation_is_refused():
    with pytest.raises(UserError, match="must be at least 0 everywhere"):
        ProductSteps(torch.ones(2), torch.tensor([1.0, -1.0]))
