"""The bound in steps as an objective: its mean is the bound, whatever steps are drawn, and it finds variances."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Gaussian, GaussianMixture, Rng, UserError
from scorefield.denoisers import LearnedVariance
from scorefield.likelihood import Real, gaussian_elbo
from scorefield.noise import BetaTable
from scorefield.objectives import ByHistory, Hybrid, Vlb

F = torch.float64
STEPS = 50
PROCESS = Gaussian(BetaTable("cosine", STEPS))
LAW = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=F), 0.3)
EXACT = LAW.denoiser(PROCESS, variance=True)


def _close(a: torch.Tensor, b: torch.Tensor) -> None:
    """Means within 4.5 standard errors of their difference."""
    assert abs(a.mean() - b.mean()) < 4.5 * math.sqrt(a.var() / len(a) + b.var() / len(b))


def test_its_mean_is_the_bound_and_stays_it_under_importance_sampling():
    """Prior apart: T terms a dimension, against every step once; then with steps drawn by a made-up history."""
    x = LAW.sample(6000, Rng(0))
    plain = Vlb(STEPS, decoder=Real(), label_dropout=0.0)
    # The exact belief has a variance at the first step too, and the objective decodes with DDPM's.
    last = gaussian_elbo(EXACT, x, STEPS, Rng(1), samples=None, variance="small").last
    wanted = (gaussian_elbo(EXACT, x, STEPS, Rng(1), samples=None, variance="belief").middle + last) / 2
    _close(plain(EXACT, x, Rng(2)), wanted)
    history = ByHistory(plain, bins=STEPS).eval()
    history.squares.copy_(torch.linspace(0.1, 5, STEPS, dtype=F).square())
    history.counts.fill_(99)
    _close(history(EXACT, x, Rng(3)), wanted)


class Fixed(nn.Module):
    """The exact mean of N(0, S) data as x0 prediction, and one learned share v for every step."""

    def __init__(self, square: float) -> None:
        super().__init__()
        self.square, self.v = square, nn.Parameter(torch.zeros(1, dtype=F))

    def forward(self, x, level):
        # x is x_t/√(α² + σ²) as sigma_data is 1, and level log σ/α: E[x₀ | x_t] of any S
        ratio = (2 * level).exp().reshape(-1, *[1] * (x.ndim - 1))
        mean = self.square / (self.square + ratio) * x * (1 + ratio).sqrt()
        return torch.cat([mean, torch.tanh(self.v).expand_as(x)], 1)


@pytest.mark.parametrize(("square", "v"), [(1.0, 1.0), (1e-6, -1.0)])
@pytest.mark.parametrize("objective", [Hybrid(STEPS, label_dropout=0.0), Vlb(STEPS, label_dropout=0.0)], ids=repr)
def test_it_recovers_the_optimal_variance(objective, square, v):
    """For N(0, 1) data it is β (v = 1), for a point mass β̃ (v = −1), whatever the step (Nichol and Dhariwal 2021): the
    gradient of v at every value in between points there."""
    denoiser = LearnedVariance(Fixed(square), PROCESS, STEPS, "x0")
    x = math.sqrt(square) * torch.randn(256, 4, dtype=F, generator=torch.Generator().manual_seed(0))
    for raw in (-1.0, 0.0, 1.0):
        denoiser.net.v.data.fill_(raw)
        denoiser.zero_grad()
        objective(denoiser, x, Rng(1)).mean().backward()
        assert denoiser.net.v.grad.sign().item() == -v


def test_the_bound_with_the_optimal_variance_is_the_entropy():
    """Of N(0, 1) with v = 1, prior included, but for the first step, which decodes with β̃₂ where β₁ would be right:
    ½(r − 1 − ln r) too much, r = β₁/β̃₂. Variances β̃ cost Σ ½(r − 1 − ln r) more, r = β/β̃ of the other steps. Both
    within 4.5 standard errors."""
    net = Fixed(1.0)
    net.v.data.fill_(20.0)  # tanh → 1
    denoiser = LearnedVariance(net, Gaussian(BetaTable("cosine", 1000)), 1000, "x0")
    x = torch.randn(2000, 4, dtype=F, generator=torch.Generator().manual_seed(0))
    kept = denoiser.process.schedule(torch.arange(1001, dtype=F) / 1000).alpha.square()
    large = 1 - kept[2:] / kept[1:-1]
    small = large * (1 - kept[1:-1]) / (1 - kept[2:])

    def excess(ratio):
        return 0.5 * (ratio - 1 - ratio.log())

    first, others = excess((1 - kept[1]) / small[0]).item(), excess(large / small).sum().item()
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    for variance, wanted in (("belief", 0.0), ("small", others)):
        terms = gaussian_elbo(denoiser, x, 1000, Rng(1), samples=64, decoder=Real(), variance=variance)
        nats = terms.bound.nats / 4
        gap, error = nats.mean().item() - entropy - first, nats.std().item() / math.sqrt(len(x))
        assert abs(gap - wanted) < 4.5 * error


def test_bad_input():
    with pytest.raises(UserError, match="at least 2 steps, got 1"):
        Vlb(1)
