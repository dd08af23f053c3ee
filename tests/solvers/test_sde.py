from __future__ import annotations

import math

import pytest
import torch

from scorefield import Gaussian, UserError, sample, trajectory
from scorefield.core import Rng
from scorefield.noise import EDM, VE, VP, BetaTable, Cosine
from scorefield.solvers import Karras
from scorefield.solvers.sde import EulerMaruyama, ReverseDiffusion, forward_sde, reverse_drift
from scorefield.testing import check_solver
from tests.components import CONTINUOUS, PROCESSES
from tests.solvers.laws import normal_law, response

PREDICTORS = [ReverseDiffusion(), EulerMaruyama(), EulerMaruyama(0.5), EulerMaruyama(0.0)]


@pytest.mark.parametrize("solver", PREDICTORS, ids=repr)
def test_predictors_obey_the_laws_of_solvers(solver):
    for process in PROCESSES[::4]:
        check_solver(solver, process)


@pytest.mark.parametrize("schedule", CONTINUOUS, ids=repr)
@pytest.mark.parametrize("solver", PREDICTORS, ids=repr)
def test_predictors_are_of_weak_order_one(solver, schedule):
    """The mean and the variance that a walk from p_0.9 to p_0.1 of N(0.7, 0.3) ends with, by exact propagation, err by
    O(1/n): the slope between 100 and 200 steps is 1 up to O(1/n), and where the first-order terms nearly cancel it may
    only be steeper. (Where α = 1 the mean is exact.)"""
    process = Gaussian(schedule)
    (a_t, a_s), (s_t, s_s) = (c.tolist() for c in process.schedule(torch.tensor([0.9, 0.1], dtype=torch.float64)))
    errors = []
    for n in (100, 200):
        got = response(solver, process, torch.linspace(0.9, 0.1, n + 1, dtype=torch.float64), 0.7, 0.3)
        mean, var = got.gain * a_t * 0.7 + got.shift, got.var(a_t**2 * 0.3 + s_t**2)
        errors.append((abs(mean - a_s * 0.7), abs(var - a_s**2 * 0.3 - s_s**2)))
    for coarse, fine in zip(*errors, strict=True):
        assert fine < 1e-12 or math.log2(coarse / fine) > 0.85


def test_reverse_diffusion_is_song_et_als_recursion():
    """v' = ((2 − a) − G²/V)² v + G² on N(0, S), V = α²S + σ² the variance there (their eq. 46 with the exact score),
    and the belief at the end."""
    for schedule in (VP(), VE(), EDM()):
        process, var = Gaussian(schedule), 0.4
        times = Karras()(process, 12)
        alpha, sigma = (c.tolist() for c in process.schedule(times))
        v = sigma[0] ** 2
        for i in range(11):
            a = alpha[i] / alpha[i + 1]
            g2 = sigma[i] ** 2 - (a * sigma[i + 1]) ** 2
            v = ((2 - a) - g2 / (alpha[i] ** 2 * var + sigma[i] ** 2)) ** 2 * v + g2
        v *= (alpha[11] * var / (alpha[11] ** 2 * var + sigma[11] ** 2)) ** 2
        assert response(ReverseDiffusion(), process, times, 0.0, var).var(sigma[0] ** 2) == pytest.approx(v, rel=1e-11)


def test_reverse_diffusion_is_the_authors_vp_update_on_the_discrete_schedule():
    """x − f + G² s + G z with f = (√(1−β) − 1) x and G = √β of DDPM's table (their eq. 46, VP)."""
    process, z = Gaussian(BetaTable("linear", 1000)), torch.tensor([[0.7]], dtype=torch.float64)
    x, denoiser = torch.tensor([[1.3]], dtype=torch.float64), normal_law(0.3, 0.4).denoiser(process)
    t, s = (torch.tensor(n / 1000, dtype=torch.float64) for n in (500, 499))
    beta = 1e-4 + (0.02 - 1e-4) * 499 / 999
    score = process.score(x, denoiser(x, t), t)
    want = x - ((1 - beta) ** 0.5 - 1) * x + beta * score + beta**0.5 * z

    class Known:
        def normal(self, like):
            return z

    got, _ = ReverseDiffusion().step(denoiser, x, t, s, None, Known())
    torch.testing.assert_close(got, want, rtol=1e-9, atol=0)


def test_drift_family_is_the_velocity_and_its_noise():
    """f x − ½(1+η²) g² s = (1 + η²) v − η² f x, with the probability-flow velocity v of the process."""
    x = torch.randn(5, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    for schedule in (VP(), VE(), Cosine()):
        process = Gaussian(schedule)
        belief, sde = normal_law(0.3, 0.4).denoiser(process)(x, t), forward_sde(process, t, x)
        for eta in (0.0, 0.7, 1.0):
            want = (1 + eta**2) * process.velocity(x, belief, t) - eta**2 * sde.f * x
            torch.testing.assert_close(reverse_drift(process, sde, x, belief, t, eta), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("solver", PREDICTORS, ids=repr)
def test_the_table_of_a_predictor_is_the_predictor(solver):
    for schedule in (VP(), Cosine()):
        process = Gaussian(schedule)
        denoiser, times = normal_law(0.3, 0.4).denoiser(process), Karras()(process, 7)
        table = sample(denoiser, (3, 1), times=times, solver=solver, rng=Rng.each(3, range(3)), dtype=torch.float64)
        rng = Rng.each(3, range(3))
        x = process.prior(torch.empty(3, 1, dtype=torch.float64), rng)
        *_, step = trajectory(denoiser, x, times, solver=solver, rng=rng)
        torch.testing.assert_close(table, step.x, rtol=1e-9, atol=1e-9)


def test_bad_input():
    with pytest.raises(UserError, match="eta must be at least 0"):
        EulerMaruyama(-0.1)
    with pytest.raises(UserError, match="ReverseDiffusion needs a process with bridge and log_ratio"):
        ReverseDiffusion().init(object(), torch.tensor([1.0, 0.0]))
