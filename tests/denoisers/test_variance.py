from __future__ import annotations

import pytest
import torch
from torch import nn

from scorefield import Gaussian, GaussianMixture, Rng, UserError, sample, trajectory
from scorefield.core import as_time
from scorefield.denoisers import AnalyticVariance, LearnedVariance
from scorefield.noise import VP, BetaTable, Flow
from scorefield.solvers import Ancestral, Karras, LogSNR


def one(mean=0.3, std=0.5):
    return GaussianMixture.isotropic(torch.tensor([[mean]], dtype=torch.float64), std)


@pytest.mark.parametrize("schedule", [VP(), Flow(), BetaTable()], ids=repr)
def test_measured_variance_is_the_posterior_variance(schedule):
    """N(m, S): var = S σ²/(α² S + σ²), by 20,000 examples at each level: a mean of squares of deviation √(2/n) of
    itself, so 6 of these are 6 %; 1e-9 false alarms a level, 5e-8 in all."""
    process, law = Gaussian(schedule), one()
    data = law.sample(20_000, Rng(1))
    measured = AnalyticVariance.measured(law.denoiser(process), [data[:12_000], data[12_000:]], Rng(2), levels=12)
    times = process.time(measured.log_ratios)
    alpha, sigma = process.schedule(times)
    exact = 0.25 * sigma**2 / (alpha**2 * 0.25 + sigma**2)
    torch.testing.assert_close(measured.variance(times), exact, rtol=6 * (2 / 20_000) ** 0.5, atol=1e-7)
    assert measured.variance(as_time(0.0)) == measured.variances[-1]


def test_analytic_variance_makes_few_ancestral_steps_exact_on_a_gaussian():
    """With the exact variance each step draws from the true reverse law, whatever its length, so that 3 steps give the
    data's deviation; β̃ alone loses a fifth of it. 5 standard errors of a deviation, √(1/2n): 6e-7."""
    process, n = Gaussian(VP()), 40_000
    denoiser = one().denoiser(process)
    levels = torch.linspace(process.log_ratio(as_time(1.0)).item(), 7.0, 400, dtype=torch.float64)
    alpha, sigma = process.schedule(process.time(levels))
    known = AnalyticVariance(denoiser, levels, 0.25 * sigma**2 / (alpha**2 * 0.25 + sigma**2))
    times = LogSNR(sigma_min=0.02)(process, 3)
    wide, narrow = (
        sample(known, (n, 1), times=times, solver=Ancestral(v), rng=Rng(4), dtype=torch.float64).std().item()
        for v in ("belief", "small")
    )
    assert abs(wide / 0.5 - 1) < 5 / (2 * n) ** 0.5 + 2e-3  # 2e-3: (0.02/0.5)² of clean data is left to the last step
    assert narrow < 0.42


class Two(nn.Module):
    """A network of two channels: eps = x, and v constant."""

    def __init__(self, v):
        super().__init__()
        self.v, self.calls = v, 0

    def forward(self, x, level, **cond):
        self.calls += 1
        return torch.cat([x, torch.full_like(x, self.v)], 1)


class Ones:
    """Every draw is 1, so that a step shows its deviation."""

    def normal(self, like):
        return torch.ones_like(like)


@pytest.mark.parametrize("v", [-1.0, -0.4, 0.3, 1.0])
def test_learned_variance_is_improved_ddpms_interpolation(v):
    """At the steps of training the deviation drawn is exp ½(share log β + (1 − share) log β̃), from one evaluation."""
    table = BetaTable("linear", 1000)
    net = Two(v)
    denoiser = LearnedVariance(net, Gaussian(table))
    x = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bars = torch.cat([torch.ones(1).double(), (1 - beta).cumprod(0)])
    for i in (2, 10, 500, 1000):
        t, s = as_time(i / 1000), as_time((i - 1) / 1000)
        small = beta[i - 1] * (1 - bars[i - 1]) / (1 - bars[i])
        expected = (0.5 * ((v + 1) / 2 * beta[i - 1].log() + (1 - v) / 2 * small.log())).exp()
        belief = denoiser(x, t)
        drawn = denoiser.process.reverse(x, belief, t, s, Ones())
        mean = denoiser.process.reverse(x, belief.with_mean(belief.mean), t, s, Zero())
        torch.testing.assert_close(drawn - mean, torch.full_like(x, expected.item()), rtol=1e-7, atol=1e-12)
    assert net.calls == 4


class Zero:
    """Every draw is 0."""

    def normal(self, like):
        return torch.zeros_like(like)


def test_learned_variance_walks_and_ends_on_the_mean():
    denoiser = LearnedVariance(Two(0.5), Gaussian(BetaTable()))
    times = Karras()(denoiser.process, 5)
    x = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    *_, last = trajectory(denoiser, x, times, solver=Ancestral(), rng=Rng(0))
    assert last.x.isfinite().all()
    belief = denoiser(x, as_time(1 / 1000))
    assert torch.equal(belief.var, torch.zeros_like(x))  # the step to clean data draws nothing


def test_refusals():
    process = Gaussian(VP())
    with pytest.raises(UserError, match="at least 2 noise levels, got 1"):
        AnalyticVariance.measured(one().denoiser(process), [], Rng(0), levels=1)
    with pytest.raises(UserError, match="at least one example"):
        AnalyticVariance.measured(one().denoiser(process), [], Rng(0))
    with pytest.raises(UserError, match="at least 2 steps, got 1"):
        LearnedVariance(Two(0.0), process, steps=1)


def test_under_another_process_the_mean_stays_and_the_variance_goes():
    """The network is told the level, never the time, so at equal σ/α and x/α the mean is the same."""
    denoiser = LearnedVariance(Two(0.5), Gaussian(BetaTable()), predict="v")
    x = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = as_time(0.4)
    other = denoiser.under(Gaussian(VP()))
    s = other.process.time(denoiser.process.log_ratio(t))
    ratio = (other.process.schedule(s).alpha / denoiser.process.schedule(t).alpha).item()
    belief = other(x * ratio, s)
    torch.testing.assert_close(belief.mean, denoiser(x, t).mean)
    assert belief.var is None


def test_respaced_steps_of_a_learned_variance_are_exact_on_gaussian_data():
    """N(0, 1) has v = 1 at every step, and as the variance of x₀ given x_t that is σ² whatever the length of the step
    it was learned on: so a walk of any other steps draws with the variance of its own β, and keeps N(0, 1)."""
    process, x = Gaussian(BetaTable("cosine", 1000)), torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    denoiser = LearnedVariance(Two(1.0), process)
    for i in (30, 400, 900):
        t = as_time(i / 1000)
        sigma = process.schedule(t).sigma
        torch.testing.assert_close(denoiser(x, t).var, (sigma.square()).expand_as(x))
        for stride in (1, 10, 25):
            s = as_time((i - stride) / 1000)
            _, aim, fresh = process.bridge(t, s)
            beta = (
                process.schedule(t).sigma ** 2
                - (process.schedule(t).alpha / process.schedule(s).alpha * process.schedule(s).sigma) ** 2
            )
            torch.testing.assert_close(fresh**2 + aim**2 * denoiser(x, t).var.flatten()[0], beta)
