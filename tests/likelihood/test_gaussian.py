"""Bounds of real data against closed forms. On N(0, S) every term is a quadratic form of (x₀, ε), so its expectation is
the mean over four points, (±√S, ±1), to the last digit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Moments, Rng, UserError, elbo
from scorefield.likelihood import Levels, Softmax, gaussian_elbo
from scorefield.noise import EDM, VP, BetaTable, Flow
from scorefield.noise.schedules import Scales
from tests.components import CONTINUOUS
from tests.solvers.laws import normal_law

F = torch.float64
MIXED = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.2, -0.7]], dtype=F), 0.15)


class FourPoints:
    """An ``Rng`` whose normals are (1, −1, 1, −1), and whose uniforms are the middle."""

    def normal(self, like):
        return torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=like.dtype).view(4, 1).expand_as(like)

    def uniform(self, like):
        return torch.full_like(like, 0.5)


def four(S: float) -> torch.Tensor:
    return torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=F)[:, None] * S**0.5


def entropy(S: float) -> float:
    return 0.5 * math.log(2 * math.pi * math.e * S)


@dataclass(frozen=True)
class LinearGamma:
    """VDM's: log SNR falls linearly from 13.3 to −5 (Kingma et al. 2021); not clean at t = 0."""

    def __call__(self, t):
        gamma = -13.3 + 18.3 * t
        return Scales(torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt())

    def time(self, log_ratio):
        return ((-2 * log_ratio + 13.3) / 18.3).clamp(0, 1)


@pytest.mark.parametrize(
    ("schedule", "S", "small", "large"),
    [
        (BetaTable("linear"), 0.25, 0.569926, 0.114670),
        pytest.param(BetaTable("linear"), 1.0, 0.578595, 0.113703, marks=pytest.mark.slow),
        pytest.param(BetaTable("linear"), 0.01, 0.501223, 0.129204, marks=pytest.mark.slow),
        pytest.param(BetaTable("cosine"), 1.0, 0.534457, 0.127816, marks=pytest.mark.slow),
        pytest.param(BetaTable("cosine", 4000), 0.25, 0.473797, 0.146155, marks=pytest.mark.slow),
    ],
)
def test_ddpm_bound_of_every_step(schedule, S, small, large):
    """The gap to the entropy with DDPM's two variances, as computed elsewhere in closed form; with the optimal variance
    it is the prior's alone, KL(p₁ ‖ prior) of N(0, α₁² S + σ₁²)."""
    process = Gaussian(schedule)
    denoiser = normal_law(0.0, S).denoiser(process, variance=True)

    def gap(variance):
        terms = gaussian_elbo(denoiser, four(S), schedule.steps, FourPoints(), samples=None, variance=variance)
        return terms.bound.nats.mean().item() - entropy(S)

    assert gap("small") == pytest.approx(small, abs=2e-6)
    assert gap("large") == pytest.approx(large, abs=2e-6)
    alpha, sigma = process.schedule(torch.tensor(1.0, dtype=F))
    ratio = ((alpha**2 * S + sigma**2) / sigma**2).item()
    assert gap("belief") == pytest.approx(0.5 * (ratio - 1 - math.log(ratio)), abs=1e-9)


@pytest.mark.parametrize(("S", "middle"), [(1.0, 6.646643163), (0.25, 5.956014634)])
def test_vdm_bound_in_continuous_time_is_tight(S, middle):
    """γ ∈ [−13.3, 5]: the three terms and the total, whose gap to the entropy is σ₀²/2S at the clean end, x₀ read from
    the state as VDM does; read from the belief it is of the second order. The prior is N(0, σ₁²), where VDM's has
    variance 1. A midpoint rule of 1,000 is exact to 1e-6."""
    denoiser = normal_law(0.0, S).denoiser(Gaussian(LinearGamma()))
    terms = gaussian_elbo(denoiser, four(S), rng=FourPoints(), samples=1000, centre="state", sigma_min=1e-6)
    assert terms.middle.mean().item() == pytest.approx(middle, abs=1e-6)
    assert terms.prior.mean().item() == pytest.approx(0.5 * S * math.exp(-5), abs=1e-12)
    assert terms.last.mean().item() == pytest.approx(0.5 * math.log(2 * math.pi * math.e) - 13.3 / 2, abs=1e-9)
    noise, end = math.exp(-13.3), math.exp(-5.0) * S
    wanted = noise / (2 * S) + 0.5 * (end - math.log1p(end))
    assert terms.bound.nats.mean().item() - entropy(S) == pytest.approx(wanted, abs=1e-6)
    better = gaussian_elbo(denoiser, four(S), rng=FourPoints(), samples=1000, sigma_min=1e-6)
    gap = better.bound.nats.mean().item() - entropy(S) - 0.5 * (end - math.log1p(end))
    assert gap == pytest.approx(0, abs=1e-6)


def test_vdm_bound_in_steps_falls_as_one_over_T():
    """The middle term on N(0, ¼) in 10 and 100 steps as computed elsewhere; in 400 four times nearer to its limit."""
    denoiser = normal_law(0.0, 0.25).denoiser(Gaussian(LinearGamma()))
    found = [
        gaussian_elbo(denoiser, four(0.25), T, FourPoints(), samples=None).middle.mean().item() for T in (10, 100, 400)
    ]
    assert found[:2] == pytest.approx([15.7276, 6.48569], abs=2e-4)
    assert (found[1] - 5.956014634) / (found[2] - 5.956014634) == pytest.approx(4, rel=0.06)


@pytest.mark.parametrize("schedule", [*CONTINUOUS, BetaTable()], ids=repr)
@pytest.mark.parametrize("form", ["denoising", "sliced"])
def test_the_bound_with_the_exact_belief_is_the_entropy(schedule, form):
    """On a mixture, in continuous time: tight up to the prior's KL (at most ½ SNR₁ E‖x₀‖² = 3e-4 nats, VE) and chance,
    4.5 standard errors of the mean gap (false alarm 7e-6)."""
    x = MIXED.sample(400, Rng(0))
    terms = gaussian_elbo(MIXED.denoiser(Gaussian(schedule)), x, rng=Rng(1), samples=64, form=form)
    gap = terms.bound.nats + MIXED.log_prob(x)
    assert abs(gap.mean().item()) < 4.5 * gap.std().item() / 20 + 3e-4
    assert terms.bound.error.shape == (400,) and terms.levels.shape == (64, 400)


class Off:
    """The exact belief of ``law``, with a part of the data's spread taken away: a model that is wrong."""

    def __init__(self, law, process):
        self.exact, self.process = law.denoiser(process), process

    def __call__(self, x, t):
        return Moments(0.9 * self.exact(x, t).mean + 0.05)


def test_a_wrong_model_is_above_the_entropy_and_both_estimates_agree():
    """Denoising and sliced estimates of one integral, for a model that is not the gradient of anything's logarithm;
    4.5 standard errors of the difference."""
    x = MIXED.sample(2000, Rng(0))
    denoiser = Off(MIXED, Gaussian(EDM()))
    found = [gaussian_elbo(denoiser, x, rng=Rng(2), samples=32, form=form) for form in ("denoising", "sliced")]
    gap = found[0].bound.nats + MIXED.log_prob(x)
    assert gap.mean() > 4.5 * gap.std() / 2000**0.5
    difference = found[0].middle - found[1].middle
    assert difference.mean().abs() < 4.5 * difference.std() / 2000**0.5


def test_plugged_in_sdes_are_ordered_as_theory_says():
    """(1 + η²)²/4η² times the same integral: 1 at η = 1, larger on either side, also for exact beliefs, whose
    reverse SDEs have the right marginals but not the right paths."""
    x, denoiser = MIXED.sample(8, Rng(0)), MIXED.denoiser(Gaussian(VP()))
    middles = {eta: gaussian_elbo(denoiser, x, rng=Rng(3), eta=eta).middle for eta in (0.5, 0.8, 1.0, 1.5)}
    for eta, middle in middles.items():
        torch.testing.assert_close(middle, middles[1.0] * (1 + eta**2) ** 2 / (4 * eta**2))
    assert middles[1.0].mean() < middles[0.8].mean() < middles[0.5].mean()


def test_steps_come_down_to_continuous_time():
    """One law, in 30, 100, 300 steps of the optimal variance: each bound is above the next and all above the entropy;
    every step once, the same noise."""
    x = MIXED.sample(300, Rng(0))
    denoiser = MIXED.denoiser(Gaussian(Flow()), variance=True)
    found = [
        gaussian_elbo(denoiser, x, T, Rng(5), samples=None, variance="belief").bound.nats.mean() for T in (30, 100, 300)
    ]
    assert found[0] > found[1] > found[2] > -MIXED.log_prob(x).mean()
    sampled = gaussian_elbo(denoiser, x, 100, Rng(6), samples=50, variance="belief").bound
    error = sampled.error.square().mean().sqrt() / 300**0.5
    assert (sampled.nats.mean() - found[1]).abs() < 4.5 * error * 2**0.5 + 0.05


def test_standard_errors_and_contributions():
    """The bound of one example again and again: its spread is at most its standard error (strata only lower it). What
    levels of noise contribute sums to the middle term."""
    x, denoiser = MIXED.sample(1, Rng(0)).expand(500, 2), MIXED.denoiser(Gaussian(VP()))
    terms = gaussian_elbo(denoiser, x, rng=Rng(7), samples=8)
    assert terms.bound.nats.std() < 1.15 * terms.bound.error.square().mean().sqrt()
    edges = torch.linspace(-6.3, 5.1, 13, dtype=F)
    parts, errors = terms.by_level(edges)
    assert parts.sum().item() == pytest.approx(terms.middle.mean().item())
    assert parts.shape == errors.shape == (12,) and (errors >= 0).all()


@pytest.mark.parametrize("decoder", [Levels(17), Softmax(17), Levels(256), Softmax(256)], ids=repr)
def test_probabilities_of_all_levels_sum_to_one(decoder):
    grid = torch.linspace(-1, 1, decoder.levels, dtype=F)[:, None]
    for mean, std in ((0.3, 0.2), (-1.4, 0.01), (0.0, 1e-4), (0.99, 3.0)):
        one = torch.ones_like(grid)
        nats = decoder(grid, mean * one, (std * one).square())
        assert (-nats).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_levels_keep_their_digits_far_out():
    """100 deviations from the mean: the log-probability of a bin is that of its nearer edge, by Mills' ratio."""
    nats = Levels(256)(
        torch.zeros(1, 1, dtype=F), torch.tensor([[100 * 1e-3]], dtype=F), torch.tensor([[1e-6]], dtype=F)
    )
    z = (0.1 - 1 / 255) / 1e-3
    assert nats.item() == pytest.approx(0.5 * z**2 + 0.5 * math.log(2 * math.pi) + math.log(z), rel=1e-5)


def test_bounds_on_levels_exceed_the_entropy_of_levels():
    """Data on four values with known probabilities: with the exact belief the bound is the entropy, up to what noise
    at the clean end leaves unsaid (σ a sixth of the half bin: nothing) and chance."""
    grid, probs = torch.linspace(-1, 1, 4, dtype=F), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F)
    law = GaussianMixture.isotropic(grid[:, None], 1e-6, probs)
    x = grid[torch.multinomial(probs, 1000, replacement=True, generator=torch.Generator().manual_seed(0))][:, None]
    entropy = -probs.log()[((x[:, 0] + 1) * 1.5).round().long()]
    terms = gaussian_elbo(
        law.denoiser(Gaussian(Flow())), x, rng=Rng(1), samples=128, decoder=Softmax(4), sigma_min=0.05, centre="state"
    )
    gap = terms.bound.nats - entropy
    assert abs(gap.mean().item()) < 4.5 * gap.std().item() / 1000**0.5 + 1e-3


def test_elbo_takes_real_data_too():
    x, denoiser = MIXED.sample(4, Rng(0)), MIXED.denoiser(Gaussian(VP()))
    one = elbo(denoiser, x, rng=Rng(3), samples=8)
    other = gaussian_elbo(denoiser, x, rng=Rng(3), samples=8).bound
    torch.testing.assert_close(one.nats, other.nats)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"steps": 1}, "at least 2 of them, got 1"),
        ({"samples": 1}, "at least 2 samples"),
        ({"samples": None}, "continuous time has none"),
        ({"variance": "learned"}, "no variance of a bound is called 'learned'"),
        ({"form": "explicit"}, "no form of a bound is called 'explicit'"),
        ({"eta": 0.0}, "must be above 0, got 0.0. The flow"),
        ({"steps": 10, "variance": "belief"}, "AnalyticVariance gives them"),
    ],
)
def test_bad_input(how, sentence):
    with pytest.raises(UserError, match=sentence):
        gaussian_elbo(MIXED.denoiser(Gaussian(VP())), MIXED.sample(3, Rng(0)), **how)
    with pytest.raises(UserError, match="at least 2 of them, got 1"):
        Levels(1)
