"""The learned schedule is a schedule, and its interior is what its closed form says."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield import UserError
from scorefield.core import slope
from scorefield.noise import Gaussian, Learned
from scorefield.noise.learned import CLEAN
from scorefield.registry import from_config, to_config
from scorefield.testing import check_process, check_schedule

F = torch.float64


def _bent() -> Learned:
    """One whose interior is far from a line."""
    schedule = Learned(-13.3, 5.0)
    noise = torch.randn(schedule.inner.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        schedule.inner += noise * torch.tensor([[0.05], [2.0], [1.0]])
    return schedule


@pytest.mark.parametrize("schedule", [Learned(-7.9, 5.0, 0), Learned(-13.3, 5.0), _bent()], ids=repr)
def test_it_obeys_the_laws_of_schedules_and_of_gaussian_processes(schedule):
    schedule.requires_grad_(False)
    check_schedule(schedule)
    check_process(Gaussian(schedule))


def test_gamma_is_monotone_between_its_ends_and_its_slope_is_the_derivative():
    schedule, u = _bent(), torch.linspace(0, 1, 101, dtype=F)
    gamma, (value, rate) = schedule.gamma(u).detach(), schedule.interior(u)
    assert (gamma.diff() > 0).all()
    assert gamma[0].item() == pytest.approx(-13.3, abs=1e-6) and gamma[-1].item() == pytest.approx(5.0, abs=1e-6)
    torch.testing.assert_close(rate.detach(), slope(lambda u: schedule.interior(u)[0], u).detach())
    assert (value.detach() - u).abs().max() > 0.02  # bent
    alpha, sigma = schedule(CLEAN + (1 - CLEAN) * u)
    torch.testing.assert_close((2 * (sigma.log() - alpha.log())).detach(), gamma, atol=1e-9, rtol=0)


def test_least_noise_is_that_of_gamma_0_and_time_0_is_clean():
    """σ²/α² = e^{γ₀} at t = 1/1000, and below it x_t comes from clean data at a steady pace."""
    schedule = Learned(-7.9, 5.0)
    alpha, sigma = (part.detach() for part in schedule(torch.tensor([0.0, CLEAN / 2, CLEAN], dtype=F)))
    assert (alpha[0], sigma[0]) == (1, 0) and sigma[1] == sigma[2] / 2
    assert (sigma[2] / alpha[2]).item() == pytest.approx(math.exp(-7.9 / 2), rel=1e-6)


def test_it_is_its_config():
    made = from_config(to_config(Learned(-9.0, 4.0, units=8, ends=False)), "schedule")
    assert made.range == pytest.approx((-9.0, 4.0)) and not made.ends.requires_grad and made.units == 8
    with pytest.raises(UserError, match="needs low < high and units ≥ 0, got 5, 5"):
        Learned(5, 5)
