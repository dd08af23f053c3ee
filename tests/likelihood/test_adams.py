"""Adams' method: weights against integrals of polynomials, steps against solutions in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import Gaussian, Moments, UserError
from scorefield.likelihood import Adams, adams, log_prob
from scorefield.likelihood.adams import ORDER, integrals
from scorefield.noise import VP

F = torch.float64


def test_weights_integrate_the_polynomials_that_the_known_nodes_determine():
    nodes = torch.tensor([[0.0, -0.3, -0.4, -1.0, -1.1], [2.0, 1.5, 1.4, 9.0, 9.0], [1.0, 7.0, 7.0, 7.0, 7.0]], dtype=F)
    known, a, b = torch.tensor([5, 3, 1]), nodes[:, 0], nodes[:, 0] + torch.tensor([0.2, 0.5, 3.0], dtype=F)
    w = integrals(nodes, known, a, b)
    for i, count in enumerate(known.tolist()):
        assert (w[i, count:] == 0).all()
        for power in range(count):
            want = (b[i] ** (power + 1) - a[i] ** (power + 1)) / (power + 1)
            torch.testing.assert_close((w[i] * nodes[i] ** power).sum(), want, rtol=1e-9, atol=1e-9)


def walked(tol: float, rate: torch.Tensor) -> tuple[torch.Tensor, int]:
    """y(2) of y′ = rate cos(3 t) y, y(0) = 1, one example for each rate, and how many steps were tried."""
    end, tries = torch.full_like(rate, 2.0), 0

    def field(y, t):
        return (rate * torch.cos(3 * t))[:, None] * y

    now = torch.zeros_like(rate)
    walk = adams.start(torch.ones(len(rate), 1, dtype=F), field(torch.ones(len(rate), 1, dtype=F), now), now, 1e-3)
    while (walk.at[:, 0] < 2 - 1e-12).any():
        walk, stuck = adams.advance(field, walk, end + 1e-9, lambda error, *rest: error.abs()[:, 0] / tol, 0.5)
        tries += 1
        assert not stuck
    return walk.y[:, 0], tries


def test_the_error_follows_the_tolerance_and_the_steps_its_order():
    """Errors stay within 10 of the errors allowed a step. From a tolerance to a thousandth of it an estimate of order 5
    needs 1000^(1/6) = 3.2 times the steps; 2 to 4, as the first few are of low order."""
    rate = torch.tensor([1.0], dtype=F)
    want = (rate * math.sin(6) / 3).exp()
    coarse, fine = walked(1e-5, rate), walked(1e-8, rate)
    for (y, _), tol in ((coarse, 1e-5), (fine, 1e-8)):
        assert (y - want).abs() < 10 * tol
    assert 2 < fine[1] / coarse[1] < 4


def test_every_example_has_its_own_steps():
    rate = torch.tensor([1.0, 0.0, -3.0], dtype=F)
    end = torch.full_like(rate, 1.0)

    def field(y, t):
        return (rate * torch.cos(3 * t))[:, None] * y

    def norm(error, *rest):
        return error.abs()[:, 0] / 1e-7

    now = torch.zeros_like(rate)
    walk = adams.start(torch.ones(3, 1, dtype=F), field(torch.ones(3, 1, dtype=F), now), now, 1e-3)
    for _ in range(12):
        walk, _ = adams.advance(field, walk, end, norm, 0.1)
    assert walk.at[1, 0] > 5 * walk.at[2, 0] and (walk.known == ORDER).all()


class Bad:
    process = Gaussian(VP())

    def __call__(self, x, t):
        return Moments(x * math.nan)


def test_a_belief_that_is_not_finite_is_named():
    with pytest.raises(
        UserError, match=r"no step small enough at noise σ/α = 0\.002: the beliefs there are not finite"
    ):
        log_prob(Bad(), torch.zeros(2, 3, dtype=F), solver=Adams())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tol": 0.0}, "tol, .* between 0 and 1, got 0.0"),
        ({"tol": 2.0}, "got 2.0"),
        ({"sigma_min": 0.0}, "sigma_min, .* must be above 0, got 0.0"),
        ({"max_evaluations": 0}, "max_evaluations must be at least 1, got 0"),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        Adams(**arguments)
